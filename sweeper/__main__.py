"""`python -m sweeper`, or `sweeper` where it is installed."""

import sys
from pathlib import Path

from trainer.last_resort import last_resort


def run() -> None:
    from sweeper.cli.main import app

    called = Path(sys.argv[0]).name
    app(prog_name=called if called == "sweeper" else "python -m sweeper")


def main() -> None:
    last_resort(run)


if __name__ == "__main__":
    main()
