"""`gptloss serve`: the dashboard for others, under the profile that the environment asks for."""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gptloss
from gptloss.cli.table import aligned
from gptloss.errors import GptlossError
from gptloss.hosting import profile

SCRIPT = "server.py"


def add_parser(commands: Any) -> None:
    """Add `serve` to the command line."""
    parser = commands.add_parser("serve", help="open the dashboard to others; GPTLOSS_PROFILE says to whom")
    parser.add_argument("--address", default="127.0.0.1", help="where to listen; default: %(default)s, this machine")
    parser.add_argument("--port", type=int, default=8501, metavar="N", help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="say what holds, and start nothing")
    parser.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> str:
    holds = profile(os.environ)
    table = "\n".join(aligned(holds.lines, left={0, 1, 2}))
    if options.check:
        return table
    if not 1 <= options.port <= 65_535:
        raise GptlossError(f"--port is {options.port}; use 1 to 65535.")
    script = Path(gptloss.__file__).parent.parent / SCRIPT
    if not script.is_file():
        raise GptlossError(f"There is no {SCRIPT} beside the package; run this from a checkout of gptloss.")
    print(table, file=sys.stderr)
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless=true"]
    command += [f"--server.address={options.address}", f"--server.port={options.port}"]
    try:
        status = subprocess.run(command, cwd=script.parent, check=False).returncode
    except KeyboardInterrupt:
        status = 0
    if status not in (0, -2, -15):
        raise GptlossError(f"The server ended with status {status}; what it said stands above.")
    return "The server has ended."
