"""What every command must do. The commands come from the parser, so a new one is guarded for nothing."""

import argparse
from collections.abc import Iterator

import pytest

from gptloss.cli.main import _parser, main
from tests.helpers.driver import ROOT


def commands(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of each command, such as ("models", "pull")."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield words
    for name, child in (item for group in groups for item in group.choices.items()):
        yield from commands(child, (*words, name))


COMMANDS = list(commands(_parser()))
GROUPS = [(), *{words[:-1] for words in COMMANDS if len(words) > 1}]


# What must be given besides options.
SAMPLE = "gptloss/data/sample.txt"
PLACES = {
    ("loss",): ["--input", "a b"],
    ("text",): [SAMPLE],
    ("corpus",): [SAMPLE],
    ("generate",): ["The clock"],
    ("train",): [SAMPLE],
    ("compress",): [SAMPLE, "-o", "nowhere.gptloss"],
    ("decompress",): [SAMPLE, "-o", "nowhere.txt"],
    ("models", "pull"): ["uniform"],
    ("models", "remove"): ["uniform"],
}


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence of a command that ends with status 2 and prints nothing else."""
    status: object
    try:
        status = main(arguments)
    except SystemExit as end:
        status = end.code
    out, err = capsys.readouterr()
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("gptloss")
    return err


def test_there_are_commands() -> None:
    assert {"loss", "text", "corpus", "generate", "models", "doctor"} <= {words[0] for words in COMMANDS}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_unknown_option_is_one_sentence(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert "--nonsense" in refused([*words, *PLACES.get(words, []), "--nonsense"], capsys)


@pytest.mark.parametrize("words", GROUPS, ids=" ".join)
def test_a_command_is_needed(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert "required" in refused([*words], capsys)
    assert "invalid choice" in refused([*words, "nonsense"], capsys)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_says_what_it_is_for(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*words, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: gptloss {' '.join(words)}")


@pytest.mark.parametrize("words", [("loss",), ("text",), ("corpus",), ("generate",)], ids=" ".join)
def test_an_unknown_model_is_one_sentence(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no model called 'gtp2'. Models: " in refused([*words, *PLACES[words], "--model", "gtp2"], capsys)
