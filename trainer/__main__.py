"""`python -m trainer`, or `trainer` where it is installed."""

import sys
from pathlib import Path

from trainer.last_resort import last_resort


def run() -> None:
    from trainer.cli.main import app

    called = Path(sys.argv[0]).name
    app(prog_name=called if called == "trainer" else "python -m trainer")


def main() -> None:
    last_resort(run)


if __name__ == "__main__":
    main()
