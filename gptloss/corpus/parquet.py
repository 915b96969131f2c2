"""Every scored token as a line of a Parquet file, written as the run goes on."""

import json
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from gptloss import __version__
from gptloss.corpus.outputs import alone, check_free, writing
from gptloss.corpus.scoring import ScoredWindow
from gptloss.errors import GptlossError
from gptloss.tokens import Tokenizer

# Lines that are written together: 5 MB while they are collected.
GROUP = 1 << 14
# What a Parquet file begins with.
MAGIC = b"PAR1"


def unfinished(path: Path) -> Path:
    """Where the lines are written until the file is whole."""
    return path.with_name(f"{path.name}.unfinished")


class PerToken:
    """A Parquet file with a line for each scored token; to be used in a `with`.

    Columns: `file`, `part` (training, validation or text), `position` (the token's place in the part, from 0), `id`,
    `bytes`, `log_proba` (nats; in float64 if `exact`), `window` (its number in the part, from 0). The file has its
    name when it is whole: after an error it is as it was before, after a stop it has what was scored; what a killed
    run left is overwritten by the next. Raises `GptlossError` without pyarrow, for a file that cannot be written or
    that another run writes, and for one that is there and is not such a file, unless `overwrite` is set.
    """

    def __init__(self, path: Path, overwrite: bool = False, exact: bool = False) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise GptlossError("Parquet files need pyarrow; `pip install pyarrow` brings it.") from None
        self.path = path
        self._arrow = pyarrow
        self._schema = pyarrow.schema(
            {
                "file": pyarrow.string(),
                "part": pyarrow.string(),
                "position": pyarrow.int64(),
                "id": pyarrow.int32(),
                "bytes": pyarrow.binary(),
                "log_proba": pyarrow.float64() if exact else pyarrow.float32(),
                "window": pyarrow.int64(),
            },
            {"gptloss": __version__},
        )
        self._lines: dict[str, list[Any]] = {name: [] for name in self._schema.names}
        check_free(path, self._is_ours, overwrite)
        with ExitStack() as held:
            held.enter_context(alone(path))
            check_free(unfinished(path), _is_begun, overwrite)
            with writing(path):
                self._file = held.enter_context(unfinished(path).open("wb"))
                self._writer = pyarrow.parquet.ParquetWriter(self._file, self._schema)
            self._held = held.pop_all()

    def __enter__(self) -> "PerToken":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._held:
            if kind is None:
                self._finish()
            else:
                self._give_up()

    def describe(self, origin: dict[str, Any]) -> None:
        """Write the provenance into the file, in JSON, as `provenance` in the metadata of its schema."""
        self._writer.add_key_value_metadata({"provenance": json.dumps(origin)})

    def add(self, file: str, part: str, number: int, scored: ScoredWindow, bos: bool, tokenizer: Tokenizer) -> None:
        """The tokens of window `number` of a part of a file; `bos`: the part begins with a start token."""
        ids, size = scored.ids.tolist(), len(scored.ids)
        first = scored.window.first - bos
        lines = {
            "file": [file.encode("utf-8", "backslashreplace").decode()] * size,  # names of files may be any bytes
            "part": [part] * size,
            "position": range(first, first + size),
            "id": ids,
            "bytes": [tokenizer.token(id).raw for id in ids],
            "log_proba": scored.log_probas.tolist(),
            "window": [number] * size,
        }
        for name, values in lines.items():
            self._lines[name].extend(values)
        if len(self._lines["id"]) >= GROUP:
            self._write()

    def _write(self) -> None:
        table = self._arrow.table(self._lines, schema=self._schema)
        self._lines = {name: [] for name in self._schema.names}
        with writing(self.path):
            self._writer.write_table(table)

    def _finish(self) -> None:
        try:
            self._write()
            with writing(self.path):
                self._writer.close()
                self._file.close()
                unfinished(self.path).replace(self.path)
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        with suppress(OSError):
            self._writer.close()
        with suppress(OSError):
            self._file.close()
        unfinished(self.path).unlink(missing_ok=True)

    def _is_ours(self, path: Path) -> bool:
        with suppress(OSError, ValueError), path.open("rb") as file:
            return b"gptloss" in (self._arrow.parquet.read_schema(file).metadata or {})
        return False


def _is_begun(path: Path) -> bool:
    """Whether this may be what a killed run left."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) in (b"", MAGIC)
