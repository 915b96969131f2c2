"""Who may import whom. Each rule is tried on a broken tree too, so that it is seen to fail."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.helpers.driver import ROOT

HEAVY = ["streamlit", "plotly", "pandas", "transformers", "torch"]
MOST_FILES = 16
# The floors of the house, from the top. A room knows the rooms below its floor and the others of its own room, never
# one above and never a neighbour; rooms of one floor that may know each other are said so below.
FLOORS = (
    ("app", "server", "pages"),
    (
        "views.loss",
        "views.token_probabilities",
        "views.surprise",
        "views.temperature",
        "views.compare",
        "views.data_set_loss",
        "views.gradient_step",
        "views.perplexity",
        "views.compression",
        "views.training",
    ),
    ("views.frame",),
    ("views.shared",),
    ("views.components",),
    ("views.visit",),
    ("gptloss.serving", "gptloss.charts", "gptloss.cli"),
    ("gptloss.lessons", "gptloss.training", "gptloss.tables", "gptloss.compression"),
    ("gptloss.corpus", "gptloss.prediction", "gptloss.analysis"),
    ("gptloss.provenance", "gptloss.hosting"),
    ("gptloss.scoring",),
    ("gptloss.models",),
    ("gptloss.tokens", "gptloss.measures"),
    ("gptloss.numbers", "gptloss.errors"),
)
# The front doors: they import what is asked for, when it is asked for.
DOORS = {"gptloss", "gptloss.__main__", "views"}


def modules(root: Path) -> dict[str, Path]:
    """The modules of the program by their dotted names."""
    files = [root / "app.py", root / "server.py", *(root / "pages").glob("*.py")]
    files += [file for package in ("gptloss", "views") for file in (root / package).rglob("*.py")]
    found = {}
    for file in files:
        parts = file.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(root: Path) -> dict[str, set[str]]:
    """Which modules of the program each module imports, wherever in the file."""
    known = modules(root)
    return {name: {to for to in imported(file, known) if to != name} for name, file in known.items()}


def imported(file: Path, known: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in known:
                    yield inner
                elif node.module in known:
                    yield node.module


def room(module: str) -> str:
    """The room that a module is in."""
    rooms = [name for floor in FLOORS for name in floor]
    return max((name for name in rooms if f"{module}.".startswith(f"{name}.")), key=len, default="")


def arrows_up(root: Path) -> set[tuple[str, str]]:
    """Imports of a room on a higher floor, or of a neighbour on the same floor."""
    floor = {name: n for n, floor in enumerate(FLOORS) for name in floor}
    return {
        (name, to)
        for name, all_imported in imports(root).items()
        for to in all_imported
        if not {name, to} & DOORS and room(name) != room(to) and floor[room(to)] <= floor[room(name)]
    }


def circles(root: Path) -> set[str]:
    """The modules that reach themselves by their imports."""
    graph = imports(root)

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        todo = set(graph[start])
        while todo:
            name = todo.pop()
            found.add(name)
            todo |= graph.get(name, set()) - found
        return found

    return {name for name in graph if name not in DOORS and name in reached(name)}


def crowded(root: Path) -> dict[str, int]:
    """Folders with more Python files than one looks through."""
    folders = [folder for top in ("gptloss", "views", "pages") for folder in [root / top, *(root / top).rglob("*/")]]
    counts = {str(folder.relative_to(root)): len([*folder.glob("[!_]*.py")]) for folder in folders}
    return {name: count for name, count in counts.items() if count > MOST_FILES}


def test_every_module_has_its_room() -> None:
    assert [name for name in modules(ROOT) if name not in DOORS and not room(name)] == []
    assert all(room(above) != room(below) for floor in FLOORS for above, below in pairwise(floor))


def test_no_arrow_runs_up() -> None:
    assert arrows_up(ROOT) == set()


def test_no_circles() -> None:
    assert circles(ROOT) == set()


def test_no_folder_is_crowded() -> None:
    assert crowded(ROOT) == {}


def test_the_library_knows_nothing_of_the_dashboard() -> None:
    for file in (ROOT / "gptloss").rglob("*.py"):
        assert not outside(file) & {"streamlit", "views", "pages", "app"}, file


def outside(file: Path) -> set[str]:
    """The first part of every name that a file imports."""
    nodes = [*ast.walk(ast.parse(file.read_text("utf-8")))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.split(".")[0] for name in names}


WRITES = re.compile(
    r"session_state(\.\w+|\[[^\]]*\])\s*=(?!=)|session_state\.(setdefault|pop|update|clear)\(|del st\.session_state"
)


def writers(root: Path) -> set[str]:
    """The files that write the state of a visit."""
    files = [root / "app.py", *(root / "pages").glob("*.py"), *(root / "views").rglob("*.py")]
    return {str(file.relative_to(root)) for file in files if WRITES.search(file.read_text("utf-8"))}


def test_one_module_writes_the_state_of_a_visit() -> None:
    assert writers(ROOT) == {"views/visit/session.py"}


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A small tree in which every rule is broken."""
    for file, text in {
        "app.py": "",
        "server.py": "",
        "gptloss/__init__.py": "",
        "gptloss/numbers.py": "import streamlit\nfrom gptloss import measures\n",
        "gptloss/measures.py": "def f():\n    from gptloss.numbers import g\n",
        "gptloss/charts/loss.py": "from gptloss.serving import runs\n",
        "gptloss/serving/runs.py": "from gptloss.tokens import Token\n",
        "gptloss/tokens.py": "",
        "views/visit/links.py": "st.session_state.page = 1\n",
        "views/visit/access.py": "if st.session_state.page == 1: pass\n",
        **{f"views/loss/part{n}.py": "" for n in range(MOST_FILES + 1)},
    }.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_the_rules_fail_where_they_are_broken(broken: Path) -> None:
    assert arrows_up(broken) == {
        ("gptloss.numbers", "gptloss.measures"),
        ("gptloss.charts.loss", "gptloss.serving.runs"),
    }
    assert circles(broken) == {"gptloss.numbers", "gptloss.measures"}
    assert crowded(broken) == {"views/loss": MOST_FILES + 1}
    assert writers(broken) == {"views/visit/links.py"}
    assert outside(broken / "gptloss" / "numbers.py") == {"streamlit", "gptloss"}


@pytest.mark.parametrize(
    ("statement", "may"),
    [("import gptloss, gptloss.models, gptloss.cli.main", []), ("from gptloss import score", ["torch"])],
)
def test_a_fresh_import_is_light(statement: str, may: list[str]) -> None:
    check = f"import sys; {statement}; print([m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert ast.literal_eval(run.stdout) == may


def test_the_page_shows_its_title_before_torch_is_loaded() -> None:
    late = ["torch", "plotly", "pandas"]
    check = f"import sys, views.frame.page, views.loss.editor; print([m for m in {late} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(ast.literal_eval(run.stdout)) <= {"streamlit", "plotly"}  # Streamlit loads a part of plotly itself


def test_the_public_names_are_there() -> None:
    import gptloss

    assert all(getattr(gptloss, name) for name in gptloss.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = gptloss.nothing  # type: ignore[attr-defined]
