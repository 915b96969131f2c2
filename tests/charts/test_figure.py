"""A chart that is written down is the figure that Plotly would have made."""

import json
from typing import Any

import plotly.graph_objects as go
import pytest

from gptloss.charts.figure import Chart

LAYOUT = {"title": {"text": "T", "subtitle": {"text": "S"}}, "margin": {"l": 1, "r": 2}, "height": 300}


def both(draw: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What our chart and Plotly's own figure say after the same calls."""
    found = []
    for made in (Chart(LAYOUT), go.Figure(layout={**LAYOUT, "template": {"layout": {}}})):
        draw(made)
        found.append(json.loads(go.Figure(made.to_dict()).to_json()))
    return found[0], found[1]


def draw_all(chart: Any) -> None:
    chart.add_bar(x=[1, 2], y=[3, 4], marker_color=["red", "blue"], marker={"line": {"width": 2}}, text=None)
    chart.add_scatter(x=[1], y=[2], line={"dash": "dot"}, line_width=3, error_x={"array": [1]})
    chart.add_heatmap(z=[[1, None]], colorscale=[[0, "#fff"], [1, "#000"]])
    chart.add_waterfall(x=["a"], y=[1], connector_line_color="red")
    chart.add_annotation(x=1, y=2, text="one", showarrow=False)
    chart.add_annotation(x=1, y=3, text="two", font_size=9)
    chart.add_shape({"type": "line", "x0": 0, "x1": 1, "y0": 0, "y1": 1}, line_color="red")
    chart.layout.xaxis = {"title": {"text": "x"}, "range": [0, 1]}
    chart.layout.xaxis2 = {"anchor": "y"}
    chart.update_xaxes({"showgrid": False}, title_standoff=8)
    chart.update_yaxes(range=[1, 2])
    chart.update_layout({"barmode": "overlay"}, margin_b=7, margin={"t": 8})
    chart.layout.margin.l += 30
    chart.layout.xaxis.zeroline = True


def test_it_says_what_plotlys_own_figure_says() -> None:
    ours, theirs = both(draw_all)
    assert ours == theirs
    assert ours["layout"]["margin"] == {"l": 31, "r": 2, "b": 7, "t": 8}


def test_annotations_that_were_given_are_added_to() -> None:
    given = [{"text": "first"}]
    chart = Chart(LAYOUT)
    chart.layout.annotations = given
    chart.add_annotation(text="second")
    assert [words.text for words in chart.figure.layout.annotations] == ["first", "second"]
    assert given == [{"text": "first"}]


def test_what_plotly_does_not_know_is_seen_when_it_checks() -> None:
    chart = Chart(LAYOUT)
    chart.add_bar(colour="red")
    with pytest.raises(ValueError, match="colour"):
        _ = chart.figure


def test_it_is_written_without_plotlys_template_and_can_be_saved() -> None:
    chart = Chart(LAYOUT)
    chart.add_bar(x=[1], y=[2])
    assert len(chart.to_json()) < 300
    assert "Plotly.newPlot" in chart.to_html(include_plotlyjs=False)


def test_a_part_that_is_not_there_is_said() -> None:
    with pytest.raises(AttributeError, match="legend"):
        _ = Chart(LAYOUT).layout.legend
