"""`python -m sweeper`."""

from sweeper.cli import app

app(prog_name="python -m sweeper")
