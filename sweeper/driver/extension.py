"""`extend`: a sweep that is to try more configurations than its file said. The number only ever grows."""

import re
from collections.abc import Iterable
from contextlib import closing, suppress
from time import time

from sweeper.driver.lease import new_holder
from sweeper.spec.spec import SweepSpec
from sweeper.store import controls
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import ControlRecord
from sweeper.store.store import Store

VERB = "extend"  # in `controls` it stands with its amount: 'extend +20'
LEASE = 10.0  # seconds: for one write


class NoExtension(ValueError):
    """Why a sweep cannot be extended like that, in a sentence."""


def extended(spec: SweepSpec, amount: str) -> SweepSpec:
    """amount: '+20', so many more, or '=40', so many in all. Raises NoExtension."""
    said = re.fullmatch(r"([+=])(\d{1,9})", amount)
    if said is None:
        raise NoExtension(f"{amount!r} is no amount: +20 for so many trials more, =40 for so many in all")
    now = spec.search.trials
    trials = int(said[2]) + (now if said[1] == "+" else 0)
    if trials <= now:
        raise NoExtension(f"{spec.name} has {now} trials to try already: a sweep can grow, not shrink")
    if spec.search.strategy.only_points:
        said_alone = f"{spec.name} tries the points of its file alone (sampler {spec.search.sampler})"
        raise NoExtension(f"{said_alone}: nothing can be added")
    return with_trials(spec, trials)


def with_trials(spec: SweepSpec, trials: int) -> SweepSpec:
    return spec.model_copy(update={"search": spec.search.model_copy(update={"trials": trials})})


def grown(given: SweepSpec, stored: SweepSpec) -> tuple[SweepSpec, str]:
    """The given spec with the larger of the two numbers of trials, and a sentence where they differ."""
    old, new = stored.search.trials, given.search.trials
    if new > old:
        return given, f"sweep {given.name} grows: search.trials is {new} now, it was {old}"
    if new < old:
        said = f"sweep {given.name} tries {old} configurations: search.trials can grow, not shrink to {new}"
        return with_trials(given, old), said
    return given, ""


def asked(requests: Iterable[ControlRecord]) -> list[tuple[int, str]]:
    """Which of the requests are for an extension: their ids, and the amounts."""
    said = [(control.id, *control.verb.partition(" ")) for control in requests]
    return [(id, amount) for id, verb, _, amount in said if verb == VERB]


def extend(url: str, name: str, amount: str) -> tuple[int, bool]:
    """What the number of trials comes to; and whether it was asked of a driver, or, without one, written.

    Raises NoExtension, and StoreError where there is no such sweep.
    """
    with closing(Reader(url)) as reader:
        sweep = reader.sweep(name)
        if sweep is None:
            raise StoreError(f"there is no sweep {name} in this database")
        spec = SweepSpec.from_resolved(sweep.spec)
        for _, earlier in asked(reader.controls(sweep.id)):
            with suppress(NoExtension):
                spec = extended(spec, earlier)
    spec = extended(spec, amount)
    if time() < (sweep.lease_until or 0.0):
        controls.request(url, sweep.id, f"{VERB} {amount}")
        return spec.search.trials, True
    holder = new_holder()
    with closing(Store(url)) as store:
        store.take_lease(sweep.id, holder, LEASE)
        writer = store.writer(sweep.id, holder)
        writer.extend(spec.search.trials)
        if sweep.state in ("complete", "failed"):
            writer.set_sweep_state("interrupted", f"extended to {spec.search.trials} trials")
        store.release_lease(sweep.id, holder)
    return spec.search.trials, False
