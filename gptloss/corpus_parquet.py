"""Every scored token as a line of a Parquet file, written as the run goes on."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from gptloss.corpus import ScoredWindow
from gptloss.errors import GptlossError
from gptloss.tokens import Tokenizer

# Lines that are written together: 5 MB while they are collected.
GROUP = 1 << 14


class PerToken:
    """A Parquet file with a line for each scored token; to be used in a `with`.

    Columns: `file`, `part` (training, validation or text), `position` (the token's place in the part, from 0), `id`,
    `bytes`, `log_proba` (nats), `window` (its number in the part, from 0). The file has its name when it is whole:
    after an error it is not there, after a stop it has what was scored. Raises `GptlossError` without pyarrow, and
    for a file that cannot be written.
    """

    def __init__(self, path: Path, tokenizer: Tokenizer) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise GptlossError("Parquet files need pyarrow; `pip install pyarrow` brings it.") from None
        if not path.name or path.is_dir():
            raise GptlossError(f"{path} is a folder; name a file in it.")
        self.path = path
        self._unfinished = path.with_name(f"{path.name}.unfinished")
        self._tokenizer = tokenizer
        self._arrow = pyarrow
        self._schema = pyarrow.schema(
            {
                "file": pyarrow.string(),
                "part": pyarrow.string(),
                "position": pyarrow.int64(),
                "id": pyarrow.int32(),
                "bytes": pyarrow.binary(),
                "log_proba": pyarrow.float32(),
                "window": pyarrow.int64(),
            }
        )
        self._lines: dict[str, list[Any]] = {name: [] for name in self._schema.names}
        try:
            self._writer = pyarrow.parquet.ParquetWriter(self._unfinished, self._schema)
        except OSError as error:
            raise self._unusable(error) from None

    def __enter__(self) -> "PerToken":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._finish()
        else:
            self._give_up()

    def add(self, file: str, part: str, number: int, scored: ScoredWindow, bos: bool) -> None:
        """The tokens of window `number` of a part of a file; `bos`: the part begins with a start token."""
        ids, size = scored.ids.tolist(), len(scored.ids)
        first = scored.window.first - bos
        lines = {
            "file": [file] * size,
            "part": [part] * size,
            "position": range(first, first + size),
            "id": ids,
            "bytes": [self._tokenizer.token(id).raw for id in ids],
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
        try:
            self._writer.write_table(table)
        except OSError as error:
            raise self._unusable(error) from None

    def _finish(self) -> None:
        try:
            self._write()
            self._writer.close()
            self._unfinished.replace(self.path)
        except OSError as error:
            self._give_up()
            raise self._unusable(error) from None
        except GptlossError:
            self._give_up()
            raise

    def _give_up(self) -> None:
        with suppress(OSError):
            self._writer.close()
        self._unfinished.unlink(missing_ok=True)

    def _unusable(self, error: OSError) -> GptlossError:
        reason = error.strerror or error
        return GptlossError(f"{self.path} cannot be written ({reason}); make room, or name another file.")
