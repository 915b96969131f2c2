"""The program as a process: Ctrl-C at any time, and a standard output that is full or closed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.driver import ROOT

LOSS = ["loss", "--input", "tea", "--model", "bigram"]
STOP = "import signal; signal.raise_signal(signal.SIGINT)"
IMPORT = """
import sys
class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == "{name}":
            {stop}
sys.meta_path.insert(0, Stop())
"""
LOAD = """
import gptloss.cli.options
def load(name, dtype, start_token):
    {stop}
gptloss.cli.options.load_model = load
"""
CALLBACK = (
    "import signal, weakref; thing = set(); gone = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT));"
    " del thing; return gptloss.models.load_model(name)"
)


def program(before: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`python -m gptloss`, after some code."""
    code = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n" + before
    code += "\nimport runpy; runpy.run_module('gptloss', run_name='__main__', alter_sys=True)"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("stop", [STOP, "raise KeyboardInterrupt"])
@pytest.mark.parametrize("name", ["gptloss.cli.main", "argparse", "gptloss.models.catalogue.smollm2"])
def test_ctrl_c_in_an_import(name: str, stop: str) -> None:
    run = program(IMPORT.format(name=name, stop=stop), *LOSS)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "gptloss: stopped.\n")


def test_ctrl_c_in_an_import_that_makes_another_error_of_it() -> None:
    """As torch does when it imports numpy."""
    hides = f"try:\n                {STOP}\n            except KeyboardInterrupt:\n                raise ImportError"
    run = program(IMPORT.format(name="torch._C", stop=hides), *LOSS)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "gptloss: stopped.\n")


@pytest.mark.parametrize("stop", [STOP, f'exec("{STOP}")', CALLBACK, STOP.replace("INT", "TERM")])
def test_ctrl_c_while_a_model_is_loaded(stop: str) -> None:
    run = program(LOAD.format(stop=stop), *LOSS)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "gptloss: stopped.\n")


def test_what_else_is_lost_in_a_callback_is_told() -> None:
    run = program(LOAD.format(stop=CALLBACK.replace("signal.raise_signal(signal.SIGINT)", "1 / 0")), *LOSS)
    assert run.returncode == 0
    assert "Exception ignored" in run.stderr
    assert "ZeroDivisionError" in run.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments", [LOSS, ["--help"], ["loss", "--help"], ["models", "where"], ["generate", *LOSS[2:]]]
)
def test_a_full_disk(arguments: list[str], unbuffered: str) -> None:
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-m", "gptloss", *arguments]
    with open("/dev/full", "wb") as full:
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
    sentence = "Standard output cannot be written (No space left on device); make room, or send it elsewhere."
    assert (run.returncode, run.stderr) == (2, f"gptloss: {sentence}\n")


@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
def test_a_closed_standard_output() -> None:
    command = f"{sys.executable} -m gptloss {' '.join(LOSS)} >&-"
    run = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert "Standard output is closed; send it to a file" in run.stderr


def test_the_program_is_the_one_that_is_installed() -> None:
    assert 'gptloss = "gptloss.__main__:main"' in (ROOT / "pyproject.toml").read_text("utf-8")
