"""Commands that keep a database and its files in order. Everything heavy is imported inside them."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.opening import LACKS, USAGE, fail, failing, opened_sweep, reading
from sweeper.cli.options import DEFAULT_URL, AsJson, Database, Name
from sweeper.words import in_bytes

app = typer.Typer()


@app.command()
def migrate(db: Database = DEFAULT_URL, json: AsJson = False) -> None:
    """Bring a database of an older version up to date. An SQLite file is copied first.

    Example: python -m sweeper migrate --db sqlite:///old.db
    """
    from sweeper.store.engine import StoreError
    from sweeper.store.migrate import migrate as bring_up_to_date
    from sweeper.store.queries import Reader
    from sweeper.terminal.console import print_json, print_text

    with failing(StoreError, LACKS, json):
        done = bring_up_to_date(db)
        if done is None:
            Reader(db).close()  # says so where there is nothing that could be brought up to date
    if json:
        copy = str(done.copy) if done and done.copy else None
        print_json({"migrated": {**done._asdict(), "copy": copy} if done else None})
    else:
        print_text(done.words() if done else "nothing to do: this database is up to date")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where to; nothing that is there is written over.")],
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Copy an SQLite database into one file, also while a sweep runs in it. Checkpoints are not in it.

    Example: python -m sweeper backup sweeps-copy.db
    """
    from sweeper.store.engine import StoreError
    from sweeper.store.migrate import backup as copied
    from sweeper.terminal.console import print_json, print_text

    with failing(StoreError, LACKS, json):
        size = copied(db, file)
    if json:
        print_json({"backup": {"file": str(file), "bytes": size}})
    else:
        print_text(f"the database as it is now is copied to {file}, {in_bytes(size)}")


@app.command()
def rename(
    name: Name,
    new: Annotated[str, typer.Argument(metavar="NAME", help="What it is to be called.")],
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Call a sweep otherwise. Its specification goes on with it as before, and commands take either name.

    Example: python -m sweeper rename schedules "first try"
    """
    from sweeper.store import notes
    from sweeper.store.engine import StoreError
    from sweeper.terminal.console import print_json, print_text

    with opened_sweep(db, name, json, changes=True) as (_, sweep):
        pass
    with failing(StoreError, USAGE, json):
        notes.rename(db, sweep.id, new)
    if json:
        print_json({"renamed": {"sweep": sweep.name, "display_name": new}})
    else:
        print_text(f"{sweep.called} is called {new} from now on")


@app.command()
def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Without being asked.")] = False,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Delete a sweep for good: its results, its checkpoints, and the pretrains that no other sweep uses.

    Example: python -m sweeper delete schedules --yes
    """
    from sweeper.driver.gc import delete as delete_all
    from sweeper.files.sweep_files import InUse
    from sweeper.store.engine import LeaseLost, StoreError
    from sweeper.store.store import Store
    from sweeper.terminal.console import print_json, print_text

    with opened_sweep(db, name, json, changes=True) as (reader, sweep):
        count = sum(reader.trial_states(sweep.id).values())
        if not yes:
            what = f"{sweep.called}, {count} trials with their checkpoints, would be deleted for good"
            if json or not sys.stdin.isatty():
                fail(USAGE, f"{what}: add --yes", json)
            typer.confirm(f"{what}. Delete it?", abort=True, err=True)
        try:
            with failing(LeaseLost, USAGE, json), closing(Store(db)) as store:
                gone = delete_all(store, reader, sweep)
        except (InUse, StoreError, OSError) as error:
            fail(LACKS, f"{error}; what is left of {sweep.called} goes when it is deleted again", json)
    if json:
        print_json({"deleted": {"sweep": sweep.name, **gone._asdict()}})
        return
    stay = "pretrain stays" if gone.spared == 1 else "pretrains stay"
    spared = f"; {gone.spared} {stay}, which other sweeps use" if gone.spared else ""
    print_text(f"{sweep.called} is deleted, {count} trials, {in_bytes(gone.bytes)}{spared}")


@app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; delete nothing.")] = False,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Delete what no sweep needs: checkpoints beyond `keep`, unused pretrains, what killed drivers left.

    Nothing of a sweep that is being run. A pretrain that is needed again is made again.

    Example: python -m sweeper gc --dry-run
    """
    from sweeper.driver.gc import collect
    from sweeper.terminal.console import print_json, print_table, print_text

    with reading(db, json):
        found = collect(db, dry_run=dry_run)
    total = sum(each.bytes for each in found.waste)
    if json:
        waste = [
            {"what": w.what, "where": w.where, "paths": list(map(str, w.paths)), "bytes": w.bytes}
            for w in found.waste
        ]
        left = [each._asdict() for each in found.left]
        print_json({"deleted": not dry_run, "bytes": total, "waste": waste, "left": left})
        return
    counted: dict[tuple[str, str], tuple[int, int]] = {}
    for each in found.waste:
        files, size = counted.get((each.what, each.where), (0, 0))
        counted[each.what, each.where] = files + len(each.paths), size + each.bytes
    rows = [[what, where, str(files), in_bytes(size)] for (what, where), (files, size) in counted.items()]
    if rows:
        print_table(["what", "of", "files", "bytes"], rows, right=(2, 3))
    print_text(*(f"left alone: {each.where}, {each.why}" for each in found.left))
    print_text(f"{'would free' if dry_run else 'freed'} {in_bytes(total)}")
