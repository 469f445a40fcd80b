"""Commands that keep a database and its files in order. Everything heavy is imported inside them."""

from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.opening import LACKS, failing
from sweeper.cli.options import DEFAULT_URL, AsJson, Database
from sweeper.words import in_bytes

app = typer.Typer()


@app.command()
def migrate(db: Database = DEFAULT_URL, json: AsJson = False) -> None:
    """Bring a database of an older version up to date. An SQLite file is copied first."""
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
    """Copy an SQLite database into one file, also while a sweep runs in it. Checkpoints are not in it."""
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
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; delete nothing.")] = False,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Delete what no sweep needs: checkpoints beyond `keep`, unused pretrains, what killed drivers left.

    Nothing of a sweep that is being run. A pretrain that is needed again is made again.
    """
    from sweeper.driver.gc import collect
    from sweeper.store.engine import StoreError
    from sweeper.terminal.console import print_json, print_table, print_text

    with failing(StoreError, LACKS, json):
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
