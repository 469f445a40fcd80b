"""The commands by which people say something of a sweep or a trial: tags and notes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.cli.opening import USAGE, fail, failing, opened_sweep, trial_of
from sweeper.cli.options import DEFAULT_URL, AsJson, Database, Name

if TYPE_CHECKING:
    from sweeper.store.queries import Reader
    from sweeper.store.records import NoteRecord, SweepRecord, TrialRecord

app = typer.Typer()


@app.command()
def tag(
    name: Name,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TRIAL] TEXT...", help="A trial's number, or none; and tags. Without tags: which stand."
        ),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take them off.")] = False,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Put tags on a sweep or on one of its trials, or take them off.

    Example: python -m sweeper tag schedules 7 baseline "worth a look"
    """
    from sweeper.store import notes
    from sweeper.store.engine import StoreError
    from sweeper.terminal.console import print_json, print_text

    with opened_sweep(db, name, json, changes=_has_text(words)) as (reader, sweep):
        trial, texts = _split(reader, sweep, words or [], json)
        stand = notes.standing(reader.notes(sweep.id))
        if not texts:
            if remove:
                fail(USAGE, "which tag is to be taken off? say its text", json)
            _show_tags(reader, sweep, trial, stand, json)
            return
    id, number = (None, None) if trial is None else (trial.id, trial.trial_number)
    with failing(StoreError, USAGE, json):
        now = notes.tag(db, sweep.id, texts, id, remove=remove)
    if json:
        print_json({"tagged": {"sweep": sweep.name, "trial": id, "trial_number": number, "tags": now}})
    else:
        print_text(f"{_called(sweep, trial)} is tagged {', '.join(now)}" if now else _untagged(sweep, trial))


@app.command()
def note(
    name: Name,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TRIAL] TEXT",
            help="A trial's number, or none; and the note. Without one: those there are.",
        ),
    ] = None,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Write a note about a sweep or about one of its trials; it is kept with its time and whose it is.

    Example: python -m sweeper note schedules 7 the loss jumps at step 1560
    """
    from sweeper.store import notes
    from sweeper.store.engine import StoreError
    from sweeper.terminal.console import print_json, print_text

    with opened_sweep(db, name, json, changes=_has_text(words)) as (reader, sweep):
        trial, texts = _split(reader, sweep, words or [], json)
        if not texts:
            _show_notes(reader, sweep, trial, json)
            return
    id, number = (None, None) if trial is None else (trial.id, trial.trial_number)
    text = " ".join(texts)
    with failing(StoreError, USAGE, json):
        notes.note(db, sweep.id, text, id)
    if json:
        print_json({"noted": {"sweep": sweep.name, "trial": id, "trial_number": number, "text": text}})
    else:
        print_text(f"noted of {_called(sweep, trial)}")


def said_of_sweep(sweep: "SweepRecord", notes: Sequence["NoteRecord"]) -> list[str]:
    """What its specification says of it, and then its tags and notes; none where nobody said anything."""
    from sweeper.store.notes import tags_of_sweep

    described = [words] if (words := sweep.spec.get("describe")) else []
    return [*described, *_said(tags_of_sweep(sweep.spec, notes), notes, None)]


def said_of(notes: Sequence["NoteRecord"], trial: int) -> list[str]:
    """Lines with the tags and notes of a trial; none where nobody said anything."""
    from sweeper.store.notes import standing

    return _said(standing(notes).get(trial, ()), notes, trial)


def _said(tags: Sequence[str], notes: Sequence["NoteRecord"], trial: int | None) -> list[str]:
    from sweeper.store.notes import NOTE
    from sweeper.terminal.console import moment

    lines = [f"tags: {', '.join(tags)}"] if tags else []
    return lines + [
        f"{moment(each.time)}  {each.who}: {each.text}"
        for each in notes
        if each.kind == NOTE and each.trial == trial
    ]


def _has_text(words: Sequence[str] | None) -> bool:
    """Else what was said is read."""
    words = words or []
    return len(words) > (1 if words[:1] and _is_number(words[0]) else 0)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal()


def _split(
    reader: "Reader", sweep: "SweepRecord", words: Sequence[str], json: bool
) -> tuple["TrialRecord | None", list[str]]:
    """A whole number that is said first is a trial."""
    if words and _is_number(words[0]):
        return trial_of(reader, sweep, int(words[0]), json), list(words[1:])
    return None, list(words)


def _called(sweep: "SweepRecord", trial: "TrialRecord | None") -> str:
    return sweep.called if trial is None else f"trial {trial.called} of {sweep.called}"


def _untagged(sweep: "SweepRecord", trial: "TrialRecord | None") -> str:
    return f"{_called(sweep, trial)} has no tag"


def _show_tags(
    reader: "Reader",
    sweep: "SweepRecord",
    trial: "TrialRecord | None",
    stand: dict[int | None, tuple[str, ...]],
    json: bool,
) -> None:
    """Of the trial; without one, of the sweep and of all its trials."""
    from sweeper.terminal.console import print_json, print_text

    asked = [trial] if trial else [each for each in reader.trials(sweep.id) if each.id in stand]
    if json:
        of_trials = [
            {"trial": each.id, "trial_number": each.trial_number, "tags": stand.get(each.id, ())}
            for each in asked
        ]
        of_sweep: dict[str, Any] = {} if trial else {"tags": stand.get(None, ())}
        print_json({"tags": {"sweep": sweep.name, **of_sweep, "trials": of_trials}})
        return
    told = ([] if trial else [(_called(sweep, None), stand.get(None, ()))]) + [
        (_called(sweep, each), stand.get(each.id, ())) for each in asked
    ]
    print_text(*(f"{what}: {', '.join(tags) or 'no tag'}" for what, tags in told))


def _show_notes(reader: "Reader", sweep: "SweepRecord", trial: "TrialRecord | None", json: bool) -> None:
    from sweeper.store.notes import NOTE
    from sweeper.terminal.console import moment, print_json, print_text

    called = {each.id: each for each in reader.trials(sweep.id)}
    found = [
        each
        for each in reader.notes(sweep.id)
        if each.kind == NOTE and (trial is None or each.trial == trial.id)
    ]
    if json:
        numbers = [None if each.trial is None else called[each.trial].trial_number for each in found]
        rows = zip(found, numbers, strict=True)
        print_json({"notes": [{**each._asdict(), "trial_number": number} for each, number in rows]})
        return
    for each in found:
        about = _called(sweep, None if each.trial is None else called[each.trial])
        print_text(f"{moment(each.time)}  {each.who}, of {about}: {each.text}")
    if not found:
        print_text(f"nobody has noted anything of {_called(sweep, trial)}")
