"""A figure that is written down and not checked: Plotly checks every value, and that takes most of a page's time.

The tests check each of our figures. `chart.figure` gives the same as Plotly's own figure.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import plotly.graph_objects as go
from plotly.basedatatypes import BaseFigure

# Names whose underscore does not lead to a part.
WHOLE = ("error_x", "error_y")
# Nothing but the place where Streamlit puts its colours: Plotly's own template is nine tenths of a small figure.
TEMPLATE: dict[str, object] = {"layout": {}}


class Part(dict[str, Any]):
    """A part of a figure: its keys are attributes, and the parts in it are parts, too."""

    def __init__(self, *given: Mapping[str, Any], **more: Any) -> None:
        super().__init__()
        self.put({**dict(*given), **more})

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, Part(value) if isinstance(value, Mapping) else value)

    def put(self, values: Mapping[str, Any]) -> None:
        """Set these values. `margin_b=12` changes one of a part, as `margin={"b": 12}` does; the rest stays."""
        for name, value in values.items():
            first, _, rest = (name, "", "") if name in WHOLE else name.partition("_")
            if rest:
                self._part(first).put({rest: value})
            elif isinstance(value, Mapping):
                self._part(first).put(value)
            elif value is not None:
                self[name] = value

    def _part(self, name: str) -> "Part":
        if not isinstance(self.get(name), Part):
            self[name] = {}
        part: Part = self[name]
        return part


class Chart(BaseFigure):  # type: ignore[misc]
    """What Streamlit and Plotly take for a figure: traces and a layout. Its methods are those of `go.Figure`."""

    def __init__(self, layout: Mapping[str, Any]) -> None:
        self._traces: list[Part] = []
        self._made = Part(layout)

    @property
    def layout(self) -> Part:
        """The layout, as it is written down."""
        return self._made

    @property
    def data(self) -> tuple[Any, ...]:
        """The traces, as Plotly's own."""
        traces: tuple[Any, ...] = self.figure.data
        return traces

    @property
    def figure(self) -> go.Figure:
        """The same as Plotly's own figure. Raises `ValueError` for a value that Plotly does not know."""
        return go.Figure(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        return {"data": self._traces, "layout": {"template": TEMPLATE, **self._made}}

    def add_bar(self, **trace: Any) -> None:
        self.add_trace("bar", trace)

    def add_scatter(self, **trace: Any) -> None:
        self.add_trace("scatter", trace)

    def add_heatmap(self, **trace: Any) -> None:
        self.add_trace("heatmap", trace)

    def add_waterfall(self, **trace: Any) -> None:
        self.add_trace("waterfall", trace)

    def add_trace(self, kind: str, trace: Mapping[str, Any]) -> None:
        """Add a trace of this kind."""
        self._traces.append(Part({"type": kind}, **trace))

    def add_traces(self, traces: Iterable[Part]) -> None:
        """Add traces that say themselves of which kind they are."""
        self._traces.extend(traces)

    def add_annotation(self, **annotation: Any) -> None:
        self._list("annotations").append(Part(annotation))

    def add_shape(self, shape: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        self._list("shapes").append(Part(shape or {}, **more))

    def update_layout(self, changes: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        self._made.put({**(changes or {}), **more})

    def update_xaxes(self, changes: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        self._axes("xaxis", {**(changes or {}), **more})

    def update_yaxes(self, changes: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        self._axes("yaxis", {**(changes or {}), **more})

    def _axes(self, kind: str, changes: Mapping[str, Any]) -> None:
        for name in {kind, *(name for name in self._made if name.startswith(kind))}:
            self._made.put({name: changes})

    def _list(self, name: str) -> list[Any]:
        self._made[name] = [*self._made.get(name, ())]
        found: list[Any] = self._made[name]
        return found
