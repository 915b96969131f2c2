"""The scripts of the components: every import is there, and no name stands for two things."""

import re
from collections import Counter

import pytest

from views.components.bundle import FOLDER, IMPORT, bundle, order

SCRIPTS = ["ladder_table.js", "token_strip.js"]
TOP = re.compile(r"^(?:export )?(?:function|const|let|class) (\w+)", re.MULTILINE)


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_name_is_defined_twice(name: str) -> None:
    script = bundle(name)
    assert [found for found, count in Counter(TOP.findall(script)).items() if count > 1] == []
    assert "import " not in script
    assert script.count("export default") == 1


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_is_imported_is_exported(name: str) -> None:
    for module in order(name):
        source = (FOLDER / module).read_text("utf-8")
        for names, other in re.findall(r'import \{ ([^}]*) \} from "\./([\w.]+)"', source):
            exported = re.findall(r"^export (?:function|const) (\w+)", (FOLDER / other).read_text("utf-8"), re.M)
            assert set(names.split(", ")) <= set(exported)


def test_a_module_that_two_others_import_is_there_once() -> None:
    assert order("token_strip.js") == ["elements.js", "token_cells.js", "token_tip.js", "token_strip.js"]
    assert IMPORT.findall((FOLDER / "token_strip.js").read_text("utf-8")) == order("token_strip.js")[:-1]
