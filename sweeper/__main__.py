"""`python -m sweeper`, or `sweeper` where it is installed."""

import gc
import sys
from pathlib import Path

from trainer.last_resort import last_resort

COMPLETION = {"--install-completion", "--show-completion"}  # a shell completes a program: `sweeper`
# Objects that are made before garbage is looked for. To import what a command needs makes a hundred thousand,
# and a driver's records are as many, which all stay: Python's 700 have it look through them again and again.
GARBAGE = 200_000, 20, 20


def run() -> None:
    gc.set_threshold(*GARBAGE)
    from sweeper.cli.app import alone

    app = alone(sys.argv[1:])
    if app is None:
        from sweeper.cli.main import app as app_of_all

        app = app_of_all
    installed = Path(sys.argv[0]).name == "sweeper" or not COMPLETION.isdisjoint(sys.argv)
    app(prog_name="sweeper" if installed else "python -m sweeper")


def main() -> None:
    last_resort(run)


if __name__ == "__main__":
    main()
