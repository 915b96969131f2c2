"""Who may import whom. The rules are tried on a broken tree too, so that they are seen to fail."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.driver import ROOT

HEAVY = ["streamlit", "plotly", "pandas", "transformers", "torch"]


def imports(folder: Path) -> set[tuple[str, str]]:
    """(file, first part of the imported name) for all Python files of a folder."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {(path.name, alias.name.split(".")[0]) for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add((path.name, node.module.split(".")[0]))
    return found


def breaches(folder: Path) -> set[tuple[str, str]]:
    """What a library that knows nothing of the dashboard must not import."""
    return {(file, name) for file, name in imports(folder) if name in {"streamlit", "views", "pages", "app"}}


def test_the_library_knows_nothing_of_the_dashboard() -> None:
    assert breaches(ROOT / "gptloss") == set()


def test_the_rule_fails_when_it_is_broken(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "def f():\n    from views.visit.session import begin\n    import streamlit as st\n"
    )
    assert breaches(tmp_path) == {("bad.py", "views"), ("bad.py", "streamlit")}


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
