"""The command that puts published sentences to the test: claims/*.yaml, each a sweep and what it shows."""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.opening import USAGE, fail, files_beside, load, say
from sweeper.cli.options import LOUDNESS, AsJson

if TYPE_CHECKING:
    from sweeper.results.report import Report
    from sweeper.spec.spec import SweepSpec

INTERRUPTED = 128  # exit codes of signals begin there

app = typer.Typer()


@app.command()
def claims(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Of the claims; all of them without.")
    ] = None,
    run: Annotated[bool, typer.Option(help="Run what has not ended; or say what there is.")] = True,
    markdown: Annotated[bool, typer.Option("--markdown", help="A page for a document.")] = False,
    db: Annotated[
        str, typer.Option(help="Their own database.", envvar="SWEEPER_CLAIMS_DB")
    ] = "sqlite:///claims.db",
    json: AsJson = False,
) -> None:
    """Put published claims to the test: holds, does not hold, or cannot be told, and with which power.

    A claim is a sweep of its own: what was interrupted goes on with the same line.

    Example: python -m sweeper claims smaller-blocks clip-variance
    """
    from sweeper.shipped import claims as there_are
    from sweeper.terminal.claims_text import page, rows
    from sweeper.terminal.console import print_json, print_table, print_text

    known = there_are()
    for name in names or []:
        if name not in known:
            fail(USAGE, f"there is no claim {name}; these come with the program: {', '.join(known)}", json)
    specs = {name: load(known[name], [], json) for name in names or known}
    if run:
        for place, spec in enumerate(specs.values(), start=1):
            say(f"claim {place} of {len(specs)}: {spec.name}")
            _run(spec, db)
    found = _reports(specs, db)
    missing = sorted(specs.keys() - {each.sweep for each in found})
    if json:
        print_json({"claims": [each.to_json() for each in found]})
    elif markdown:
        print_text(page(found, missing).rstrip())
    else:
        print_table(["claim", "verdict", "difference [95%]", "would see", "seeds", "CPU min"], rows(found))
        if missing:
            print_text(f"not run to its end: {', '.join(missing)}")


def _run(spec: "SweepSpec", db: str) -> None:
    from sweeper.cli.run import STATED
    from sweeper.execution.runner import run_sweep
    from sweeper.files.remote import Unsaid
    from sweeper.terminal.live import progress

    if _ended(spec, db):
        return
    shown = progress(quiet=LOUDNESS.quiet, verbose=LOUDNESS.verbose)
    code = run_sweep(spec, db, Unsaid(files_beside(db, False)), shown)
    if code not in STATED or code >= INTERRUPTED:
        raise typer.Exit(code)


def _ended(spec: "SweepSpec", db: str) -> bool:
    from sweeper.store.engine import StoreError
    from sweeper.store.queries import Reader

    try:
        with closing(Reader(db)) as reader:
            sweep = reader.sweep(spec.name)
            return sweep is not None and sweep.state == "complete"
    except StoreError:
        return False


def _reports(specs: dict[str, "SweepSpec"], db: str) -> "list[Report]":
    """Of those that have run to their end: a verdict on half of the seeds would be a look too early."""
    from sweeper.cli.opening import opened
    from sweeper.results.report import report

    with opened(db, False) as reader:
        there = {sweep.name: sweep for sweep in reader.sweeps() if sweep.state == "complete"}
        return [report(reader, there[spec.name]) for spec in specs.values() if spec.name in there]
