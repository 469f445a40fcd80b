"""What do people say of a sweep, or of one of its trials? Tags, notes and display names: anybody's to append,
also while a driver lives. No row is ever changed: a tag stands until a later row takes it off, a display name
until the next one."""

import getpass
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, func, insert, select

from sweeper.store.clock import MACHINE, Clock
from sweeper.store.engine import StoreError, open_for_writing, sqlite_file, transaction
from sweeper.store.records import NoteRecord
from sweeper.store.schema import notes, sweeps, trials

TAG, UNTAG, NOTE, NAME = "tag", "untag", "note", "name"  # kinds
LONGEST_TAG, LONGEST_NOTE = 40, 4000  # characters
MOST_TAGS = 20  # that stand on a sweep or a trial
MOST_ROWS = 20_000  # of a sweep: a page reads them all
LONGEST_NAME = 80  # characters of who says it
LONGEST_DISPLAY_NAME = 100
DISPLAY_NAME = re.compile(r"\w[\w .:+=@-]*")  # as a spec's name


def tag(
    url: str,
    sweep: int,
    texts: Sequence[str],
    trial: int | None = None,
    *,
    remove: bool = False,
    who: str | None = None,
    clock: Clock = MACHINE,
) -> list[str]:
    """Puts tags on a sweep or a trial, or takes them off; what is so already is left. Those that stand now.

    who: says it; None: this process's user. Raises StoreError in a sentence."""
    for text in texts:
        _check_tag(text)
    with _appending(url, sweep, trial) as connection:
        stand = list(standing(_of(connection, sweep, trial)).get(trial, ()))
        new = [text for text in dict.fromkeys(texts) if (text in stand) == remove]
        if missing := [text for text in texts if remove and text not in stand]:
            raise StoreError(f"there is no tag {missing[0]!r} to take off")
        if not remove and len(stand) + len(new) > MOST_TAGS:
            raise StoreError(f"a sweep or a trial has {MOST_TAGS} tags at most; {len(stand)} stand here")
        _append(connection, sweep, trial, UNTAG if remove else TAG, new, by(who), clock)
    return [text for text in stand if text not in new] if remove else stand + new


def note(
    url: str,
    sweep: int,
    text: str,
    trial: int | None = None,
    *,
    who: str | None = None,
    clock: Clock = MACHINE,
) -> None:
    """Raises StoreError in a sentence."""
    if not 0 < len(text) <= LONGEST_NOTE or not text.strip():
        raise StoreError(f"a note has 1 to {LONGEST_NOTE:,} characters")
    if not all(letter.isprintable() or letter in "\n\t" for letter in text):
        raise StoreError("a note is text: it has no control characters")
    with _appending(url, sweep, trial) as connection:
        _append(connection, sweep, trial, NOTE, [text], by(who), clock)


def rename(url: str, sweep: int, name: str, *, who: str | None = None, clock: Clock = MACHINE) -> None:
    """Gives a sweep a display name; its own name gives it back that one. What resumes by its name, and all
    that is derived from that, stays.

    Raises StoreError in a sentence: it is no name, or another sweep goes by it."""
    if not 0 < len(name) <= LONGEST_DISPLAY_NAME or not DISPLAY_NAME.fullmatch(name):
        raise StoreError(
            f"{name!r} is no name: it has 1 to {LONGEST_DISPLAY_NAME} letters, digits, spaces and "
            "_ . : + = @ -, and begins with a letter, a digit or _"
        )
    with _appending(url, sweep, None) as connection:
        given = select(notes.c.sweep, notes.c.text).where(notes.c.kind == NAME).order_by(notes.c.id)
        stand = {row.sweep: row.text for row in connection.execute(given)}
        for id, own in connection.execute(select(sweeps.c.id, sweeps.c.name)).tuples():
            if id != sweep and name in (own, stand.get(id)):
                raise StoreError(f"{name} is what another sweep of this database goes by")
        _append(connection, sweep, None, NAME, [name], by(who), clock)


def standing(records: Iterable[NoteRecord]) -> dict[int | None, tuple[str, ...]]:
    """The tags that stand, by trial (None: the sweep itself), in the order they were put on.

    records: in the order of their ids, as Reader.notes gives them."""
    found: dict[int | None, dict[str, None]] = {}
    for each in records:
        if each.kind == TAG:
            found.setdefault(each.trial, {}).setdefault(each.text)
        elif each.kind == UNTAG:
            found.get(each.trial, {}).pop(each.text, None)
    return {trial: tuple(tags) for trial, tags in found.items() if tags}


def tags_of_sweep(spec: Mapping[str, Any], records: Iterable[NoteRecord]) -> tuple[str, ...]:
    """Those that its specification has, then those that were put on it."""
    return tuple(dict.fromkeys([*spec.get("tags", ()), *standing(records).get(None, ())]))


def tags_of(stand: dict[int | None, tuple[str, ...]], trials: Iterable[int]) -> tuple[str, ...]:
    """Of a configuration: the tags of any of its trials. stand: as `standing` gives it."""
    return tuple(dict.fromkeys(text for trial in trials for text in stand.get(trial, ())))


def by(who: str | None) -> str:
    """As it is stored; None: 'user@host' of this process."""
    return (_user() if who is None else who)[:LONGEST_NAME]


def _check_tag(text: str) -> None:
    if not 0 < len(text) <= LONGEST_TAG or not text.isprintable() or text != text.strip():
        raise StoreError(
            f"{text[: 2 * LONGEST_TAG]!r} is no tag: it has 1 to {LONGEST_TAG} characters in one line, no "
            "space at its ends"
        )
    if text.isdecimal():
        raise StoreError(f"{text!r} is no tag: a number means a trial")
    if "," in text:
        raise StoreError(f"{text!r} is no tag: a comma stands between tags")


def _of(connection: Connection, sweep: int, trial: int | None) -> list[NoteRecord]:
    mine = (notes.c.sweep == sweep) & (notes.c.trial == trial)  # SQLAlchemy writes IS NULL for None
    columns = (notes.c[field] for field in NoteRecord._fields)
    return [NoteRecord(*row) for row in connection.execute(select(*columns).where(mine).order_by(notes.c.id))]


def _append(
    connection: Connection,
    sweep: int,
    trial: int | None,
    kind: str,
    texts: Sequence[str],
    who: str,
    clock: Clock,
) -> None:
    there = connection.execute(select(func.count()).where(notes.c.sweep == sweep)).scalar_one()
    if there + len(texts) > MOST_ROWS:
        raise StoreError(
            f"{MOST_ROWS:,} tags and notes have been said of this sweep: there is room for no more"
        )
    about = {"sweep": sweep, "trial": trial, "time": clock.wall(), "who": who, "kind": kind}
    if texts:
        connection.execute(insert(notes), [{**about, "text": text} for text in texts])


@contextmanager
def _appending(url: str, sweep: int, trial: int | None) -> Iterator[Connection]:
    """Of a sweep, or of one of its trials. Raises StoreError where there is no such database, sweep or
    trial."""
    file = sqlite_file(url)
    if file is not None and not file.is_file():
        raise StoreError(f"there is no database {file}: no sweep was ever run with it")
    engine = open_for_writing(url)
    try:
        with transaction(engine) as connection:
            if connection.execute(select(sweeps.c.id).where(sweeps.c.id == sweep)).one_or_none() is None:
                raise StoreError(f"there is no sweep {sweep} in this database")
            mine = select(trials.c.id).where(trials.c.id == trial, trials.c.sweep == sweep)
            if trial is not None and connection.execute(mine).one_or_none() is None:
                raise StoreError(f"there is no trial {trial} in this sweep")
            yield connection
    finally:
        engine.dispose()


def _user() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that has no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
