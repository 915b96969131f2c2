"""The parts of the README that follow from the code: the tree and the words of a link.

python -m tests.helpers.readme      # writes them into the README
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.driver import ROOT
from views.visit.links import table

README = ROOT / "README.md"
# What stands beside the two packages.
AROUND = {
    "tests/": "units, laws, pages without and with a browser; the folders mirror the packages",
    "benchmarks/": "how fast pages answer and texts are scored, side by side with others",
}


def tree() -> str:
    """A line for each file and folder of the program, with the first sentence of its docstring."""
    lines = [*_files(ROOT, ["app.py", "server.py"], ""), "pages/", *_folder(ROOT / "pages", "  ")]
    for package in ("gptloss", "views"):
        lines += [
            _line(f"{package}/", _first_sentence(ROOT / package / "__init__.py")),
            *_folder(ROOT / package, "  "),
        ]
    return "\n".join([*lines, *(_line(name, means) for name, means in AROUND.items())])


def link_table() -> str:
    """A line for each word of a link."""
    lines, last = ["| page | in the link | means | allowed |", "|---|---|---|---|"], ""
    for page, word, means, allowed in table():
        lines.append(f"| {page if page != last else ''} | `{word}` | {means} | {allowed} |")
        last = page
    return "\n".join(lines)


def _folder(folder: Path, indent: str) -> Iterator[str]:
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if path.is_dir() and (path / "__init__.py").exists():
            yield _line(f"{indent}{path.name}/", _first_sentence(path / "__init__.py"))
            yield from _folder(path, f"{indent}  ")
        elif path.suffix in {".py", ".js", ".css"} and path.name != "__init__.py":
            yield from _files(folder, [path.name], indent)


def _files(folder: Path, names: list[str], indent: str) -> Iterator[str]:
    for name in names:
        means = _first_sentence(folder / name) if name.endswith(".py") else ""
        yield _line(f"{indent}{name}", means)


def _line(name: str, means: str) -> str:
    return f"{name:25} {means}".rstrip()


def _first_sentence(file: Path) -> str:
    said = (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").split("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<!et al)\. ", said)[0].rstrip(".")


def _between(text: str, name: str, content: str) -> str:
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, rest = text.split(start)
    return f"{before}{start}{content}\n{end}{rest.split(end)[1]}"


def written(text: str) -> str:
    """The README with both parts as the code has them."""
    text = _between(text, "words of a link", link_table())
    return _between(text, "tree", f"```\n{tree()}\n```")


if __name__ == "__main__":
    README.write_text(written(README.read_text("utf-8")), "utf-8")
