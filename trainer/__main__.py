"""`python -m trainer`."""

from trainer.last_resort import last_resort


def run() -> None:
    from trainer.cli.main import app

    app(prog_name="python -m trainer")


if __name__ == "__main__":
    last_resort(run)
