"""The program `gptloss`, or `python -m gptloss`. It watches for Ctrl-C before it imports anything else."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

# Their imports call Python from C, which does not hand an exception on as it is.
FRAGILE = ("torch", "numpy")


def main() -> int:
    """Run the command line. Returns the exit status: 0, or 2 after a mistake of the user's. Ctrl-C ends it with 130.

    SIGTERM is as Ctrl-C: what is stopped clears up after itself.
    """
    try:
        sys.unraisablehook = _lost
        import signal

        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # a job in the background is not to hear Ctrl-C
                signal.signal(number, _stop)
        from gptloss.cli import main as cli

        status = cli.main()
    except KeyboardInterrupt:
        _end("gptloss: stopped.\n")
    return _end() if status == 130 else status


def _stop(number: int, frame: "FrameType | None") -> "NoReturn":
    """Raise `KeyboardInterrupt`; but where that becomes another error or a crash, end at once."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") in FRAGILE:
            _end("gptloss: stopped.\n")
        frame = frame.f_back
    raise KeyboardInterrupt


def _lost(raised: "sys.UnraisableHookArgs") -> None:
    """Report an error of a callback and go on; let Ctrl-C end the program."""
    if isinstance(raised.exc_value, KeyboardInterrupt):
        _end("gptloss: stopped.\n")
    sys.__unraisablehook__(raised)


def _end(told: str = "") -> "NoReturn":
    """End with 130, at once: Python itself would end by the signal if Ctrl-C came in an `exec`."""
    import os

    try:
        os.write(2, told.encode())
    finally:
        os._exit(130)


if __name__ == "__main__":
    raise SystemExit(main())
