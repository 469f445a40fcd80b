"""`python -m sweeper`, or `sweeper` where it is installed."""

import sys
from pathlib import Path

from trainer.last_resort import last_resort

COMPLETION = {"--install-completion", "--show-completion"}  # a shell completes a program: `sweeper`


def run() -> None:
    from sweeper.cli.main import app

    installed = Path(sys.argv[0]).name == "sweeper" or not COMPLETION.isdisjoint(sys.argv)
    app(prog_name="sweeper" if installed else "python -m sweeper")


def main() -> None:
    last_resort(run)


if __name__ == "__main__":
    main()
