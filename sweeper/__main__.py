"""`python -m sweeper`."""

from sweeper.cli.main import app

app(prog_name="python -m sweeper")
