"""Which sweep of which store is shown, as it is now? Read-only, and cached until somebody commits.

A page that polls a store in which nobody has committed reads nothing.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import streamlit as st

from dashboard.snapshot import ENDED, Held, Snapshot
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord

DEFAULT_URL = "sqlite:///sweeps.db"


class Found(NamedTuple):
    """A sweep, and the store that it is in."""

    url: str
    sweep: SweepRecord
    label: str  # what a picker calls it: its name, with the store's where two stores have one of that name


def urls() -> list[str]:
    """The stores that are shown: SWEEPER_DB, a line each; a path may have spaces."""
    lines = [line.strip() for line in os.environ.get("SWEEPER_DB", "").split("\n")]
    return [line for line in dict.fromkeys(lines) if line] or [DEFAULT_URL]


def url() -> str:
    """Of the store that the chosen sweep is in."""
    return st.session_state.get("store-url", urls()[0])


def shown_url(url: str) -> str:
    """A store's address without its password, wherever in it that was written."""
    head, at, tail = url.rpartition("@")
    place = tail.partition("?")[0]
    if not at:
        return place
    scheme, slashes, user = head.rpartition("://")
    return f"{scheme}://{user.partition(':')[0]}:***@{place}" if slashes else f"***@{place}"


def db() -> str:
    """The chosen sweep's store, as --db names it in a line to copy; '' where that need not be said."""
    return "" if url() == DEFAULT_URL else url()


def sweeps() -> tuple[list[Found], str]:
    """All sweeps of all stores, newest first; and in a sentence each, which stores cannot be read."""
    found: list[Found] = []
    problems = []
    for address in urls():
        try:
            reader = _reader(address)
            reader.version()  # a file that was moved away is open still, and could be read on
            there = reader.sweeps()
        except StoreError as error:
            problems.append(str(error))
            continue
        found += [Found(address, sweep, sweep.called) for sweep in there]
    return labelled(found), "\n".join(problems)


def labelled(found: Sequence[Found]) -> list[Found]:
    """Newest first, and each called so that no two are called alike."""
    names = Counter(each.sweep.called for each in found)
    return [
        each._replace(label=name if names[name] == 1 else f"{name} ({shown_url(each.url)})")
        for each in sorted(found, key=lambda each: -each.sweep.created)
        for name in (each.sweep.called,)
    ]


def choose(found: Found) -> None:
    """The sweep that pages show from now on."""
    st.session_state["store-url"], st.session_state["sweep-name"] = found.url, found.sweep.name


def is_chosen(found: Found) -> bool:
    kept = st.session_state
    return (kept.get("store-url"), kept.get("sweep-name")) == (found.url, found.sweep.name)


def chosen() -> Snapshot:
    """The chosen sweep as it is now. Raises StoreError in a sentence where it cannot be read.

    What has changed is read when somebody has committed, but where that takes long not again at once: a sweep
    of thousands of trials commits all the time. The end of a sweep is always read.
    """
    return snapshot_of(url(), st.session_state["sweep-name"])


def snapshot_of(address: str, name: str) -> Snapshot:
    """Of a sweep of one of `urls`; as `chosen`."""
    held, reader = _held(address, name), _reader(address)
    if held.is_read:
        return held.now(reader, name)
    with _said_to_be_read(reader, name):
        return held.now(reader, name)


@contextmanager
def _said_to_be_read(reader: Reader, name: str) -> Iterator[None]:
    """For the first time: of a big sweep the page would be blank for seconds."""
    place, sweep = st.empty(), reader.sweep(name)
    trials = sum(reader.trial_states(sweep.id).values()) if sweep else 0
    place.text(f"{name} is being read: {trials:,} trials. Later only what has changed is read.")
    try:
        yield
    finally:
        place.empty()


def reader() -> Reader:
    return _reader(url())


def reader_of(address: str) -> Reader:
    """Of one of `urls`: for a page that shows more than the chosen sweep."""
    return _reader(address)


def live(page: Callable[[], None], seconds: float) -> None:
    """Draws a page, and draws it again every so many seconds until its sweep has ended.

    app.watch redraws everything when the sweep starts or ends, so that this is decided anew. While the store
    cannot be read, a sentence says so, and the page comes back with it.
    """
    try:
        ended = chosen().sweep.state in ENDED
    except StoreError:
        ended = False
    st.fragment(guarded(page), run_every=None if ended else seconds)()


def guarded(page: Callable[[], None]) -> Callable[[], None]:
    """A page that is drawn again by itself: where the store cannot be read it says so, and nothing else."""

    def drawn() -> None:
        try:
            page()
        except StoreError as error:
            st.text(f"The store cannot be read now: {error}. This page looks again every few seconds.")

    return drawn


@st.cache_resource(max_entries=64, show_spinner=False)  # more than anybody shows: a new one reads all anew
def _reader(address: str) -> Reader:
    return Reader(address)


@st.cache_resource(max_entries=8, show_spinner=False)
def _held(address: str, name: str) -> Held:
    return Held()
