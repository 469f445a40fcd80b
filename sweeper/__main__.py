"""`python -m sweeper`."""

from trainer.last_resort import last_resort


def run() -> None:
    from sweeper.cli.main import app

    app(prog_name="python -m sweeper")


if __name__ == "__main__":
    last_resort(run)
