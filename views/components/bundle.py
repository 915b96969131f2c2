"""Joins JavaScript modules into the one script that Streamlit's components take.

The modules import each other by name, as in a browser: `import { make } from "./elements.js"`. A name stands for one
thing in all of them, because in the joined script they share one scope; a test holds that.
"""

import re
from pathlib import Path

FOLDER = Path(__file__).parent
IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.]+)";\n', re.MULTILINE)


def bundle(name: str) -> str:
    """The module `name` of this folder as a script, with what it imports in front of it, each module once."""
    return "\n".join(IMPORT.sub("", _source(module)) for module in order(name))


def order(name: str) -> list[str]:
    """The modules that `name` needs, itself last."""
    found: list[str] = []
    for needed in IMPORT.findall(_source(name)):
        found += [module for module in order(needed) if module not in found]
    return [*found, name]


def _source(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")
