"""`gptloss models`: lists the models, fetches one, says where they are, and removes one."""

import argparse
import json
import sys
from typing import Any

from tqdm import tqdm

from gptloss import models
from gptloss.cli import stdout
from gptloss.cli.table import aligned
from gptloss.errors import GptlossError
from gptloss.models import REGISTRY, Entry, Progress
from gptloss.models.downloads import hub, store
from gptloss.provenance import DIGITS, known_weights


def add_parser(commands: Any) -> None:
    """Add `models list | pull | where | remove` to the command line."""
    parser = commands.add_parser("models", help="list, pull and remove models")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser(
        "list",
        help="the models, and which are on this machine",
        description="The models, and which are on this machine. The SHA-256 of large weights is known once a result"
        " was made with them, until they change; reading them would take seconds.",
    )
    listing.add_argument("--json", action="store_true", help="a JSON list; sizes in bytes")
    listing.set_defaults(run=_list)
    pull = actions.add_parser("pull", help="fetch a model, whole or not at all")
    pull.add_argument("name", metavar="NAME", help="a name from the list, or hf:owner/name")
    pull.add_argument("--json", action="store_true", help="progress as JSON, a line each, in bytes or steps")
    pull.set_defaults(run=_pull)
    actions.add_parser("where", help="the folders that models are kept in").set_defaults(run=_where)
    removing = actions.add_parser("remove", help="take a model off the disk")
    removing.add_argument("name", metavar="NAME", help="a name from the list, or hf:owner/name")
    removing.set_defaults(run=_remove)


def _list(options: argparse.Namespace) -> str:
    rows = [as_json(entry) for entry in (*REGISTRY.values(), *models.pulled(), *models.trained())]
    if options.json:
        return json.dumps(rows)
    lines = [tuple(cells.values()) for cells in map(_cells, rows)]
    return "\n".join(aligned([tuple(rows[0]), *lines], left={0, 1, 4, 5, 6, 7, 8}))


def _cells(row: dict[str, Any]) -> dict[str, str]:
    """A model as text, in the order of `as_json`."""
    return {key: str(value) for key, value in row.items()} | {
        "parameters": f"{row['parameters']:,}",
        "size": store.size_text(row["size"]),
        "here": "yes" if row["here"] else "no",
        "weights": row["weights"][:DIGITS] if row["weights"] else "–",
    }


def as_json(entry: Entry) -> dict[str, Any]:
    """A model as plain data; `size` is bytes on the disk, `weights` their SHA-256 if that is known at once."""
    info = entry.info
    return {
        "name": info.name,
        "title": info.title,
        "parameters": info.parameters,
        "size": info.size,
        "architecture": info.architecture,
        "here": entry.here(),
        "licence": info.licence,
        "source": entry.source() if entry.source else info.source,
        "weights": known_weights(entry),
    }


def _pull(options: argparse.Namespace) -> str:
    if models.is_here(options.name):
        return f"{options.name} is here already."
    with _Bar() as bar:
        models.pull(options.name, _print_json if options.json else bar.show)
    return f"{options.name} is here now."


def _print_json(progress: Progress) -> None:
    stdout.write(json.dumps({"doing": progress.doing, "done": progress.done, "total": progress.total}) + "\n")


class _Bar:
    """A bar on standard error for what is being done now; a new one for the next thing."""

    def __init__(self) -> None:
        self.doing = ""
        self.bar = tqdm(disable=True)

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def show(self, progress: Progress) -> None:
        if self.doing != progress.doing:
            self.bar.close()
            self.doing = progress.doing
            # `disable=None`: no bar where nobody is watching
            self.bar = tqdm(desc=self.doing, unit="", unit_scale=True, file=sys.stderr, disable=None)
        self.bar.total = progress.total or None
        self.bar.update(progress.done - self.bar.n)


def _where(options: argparse.Namespace) -> str:
    return f"{store.home()}\n{hub.cache()}"


def _remove(options: argparse.Namespace) -> str:
    if not models.remove(options.name):
        raise GptlossError(f"{options.name} is not on this machine; there is nothing to remove.")
    return f"{options.name} was removed."
