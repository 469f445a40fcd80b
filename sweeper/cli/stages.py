"""`stages` and `stages prune`: the pretrains that are kept on disk. Heavy imports stand inside."""

from typing import Annotated, Any

import typer

from sweeper.cli.opening import opened
from sweeper.cli.options import DEFAULT_URL, AsJson, Database
from sweeper.words import in_bytes

app = typer.Typer(name="stages")


@app.callback(invoke_without_command=True)
def stages(context: typer.Context, db: Database = DEFAULT_URL, json: AsJson = False) -> None:
    """The pretrains that trials share: their cost, who uses them.

    `stages prune` clears them.

    Example: python -m sweeper stages
    """
    if context.invoked_subcommand is not None:
        context.obj = {"db": db, "json": json}  # given before the word prune
        return
    from time import time

    from sweeper.files.kept_stages import kept_stages
    from sweeper.results.savings import hours
    from sweeper.terminal.console import print_json, print_table, print_text

    with opened(db, json) as reader:
        found = kept_stages(reader, time())
    if json:
        print_json({"stages": [_document(each) for each in found]})
        return
    rows = []
    tree = any(each.stage.parent for each in found)
    for stage, size, uses, _, _ in found:
        cost = hours(stage.cpu_seconds, stage.gpu_seconds)
        used_by = ", ".join(f"{name} ({trials})" for name, trials in uses.items())
        row = [stage.key, stage.state, f"{stage.steps:,}", cost, in_bytes(size), used_by]
        rows.append([*row, stage.parent or ""] if tree else row)
    headings = ["stage", "state", "steps", "cost", "on disk", "used by (trials)", *["goes on from"] * tree]
    print_table(headings, rows, right=(2, 3, 4))
    print_text(*(f"{each.stage.key} failed: {each.stage.error}" for each in found if each.stage.error))


@app.command()
def prune(
    context: typer.Context,
    unused: Annotated[
        bool, typer.Option("--unused", help="Those that no unfinished sweep needs: which is always so.")
    ] = True,
    older_than: Annotated[
        float, typer.Option(min=0, metavar="DAYS", help="Only those that ended so long ago.")
    ] = 0.0,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it nothing is.")] = False,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Delete the checkpoints of pretrains that no unfinished sweep or race needs. Made again where one is
    needed.

    Example: python -m sweeper stages prune --older-than 7 --yes
    """
    from time import time

    from sweeper.files.kept_stages import clear, kept_stages, refusal
    from sweeper.terminal.console import print_json, print_text

    before = context.obj or {}
    db, json = before.get("db", db) if db == DEFAULT_URL else db, json or before.get("json", False)
    now = time()
    with opened(db, json) as reader:
        found = kept_stages(reader, now)
    stays = {each.stage.key: refusal(each, now, days=older_than) for each in found}
    goes = [each for each in found if not stays[each.stage.key]]
    freed = clear(goes) if yes else {each.stage.key: each.bytes for each in goes}
    stays |= {each.stage.key: "a worker is in it" for each in goes if each.stage.key not in freed}
    if json:
        kept = {key: why for key, why in stays.items() if why}
        print_json({"deleted": yes, "bytes": sum(freed.values()), "stages": freed, "kept": kept})
        return
    print_text(*(f"kept {key}: {why}" for key, why in stays.items() if why))
    print_text(*(f"{'cleared' if yes else 'to go'} {key}: {in_bytes(size)}" for key, size in freed.items()))
    total = f"{len(freed)} of {len(found)} stages, {in_bytes(sum(freed.values()))}"
    print_text(f"freed: {total}" if yes else f"would free: {total}; add --yes to delete them")


def _document(kept: Any) -> dict[str, Any]:
    return {**kept.stage._asdict(), "bytes": kept.bytes, "trials": kept.uses, "needed": kept.needed}
