"""What is a sweep asked for beyond its file, while it runs or when it has ended?

To try more configurations: the number only ever grows. To be settled, or more closely than it was. To run
again what has failed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, NamedTuple

from pydantic import ValidationError

from sweeper.spec.sections import Settle
from sweeper.spec.soundness import no_race_by
from sweeper.spec.spec import SweepSpec
from sweeper.store.controls import Asker
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import MAY_BE_RETRIED, ControlRecord, SweepRecord, TrialRecord
from sweeper.store.store import Store

VERB = "extend"  # in `controls` it stands with its amount: 'extend +20'
SETTLE = "settle"  # and this with what is said: 'settle within=0.005 seeds=12'
RETRY = "retry"
ENDED = ("complete", "failed")  # states of a sweep


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


def extended_to(spec: SweepSpec) -> str:
    return f"extended to {spec.search.trials} trials"


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


def requested(requests: Iterable[ControlRecord]) -> bool:
    """Whether one of them has a sweep that has ended go on."""
    return any(control.verb.partition(" ")[0] in (VERB, SETTLE, RETRY) for control in requests)


class Asking(NamedTuple):
    """Of a sweep: what is read and what is written of it, while nobody else writes."""

    sweep: SweepRecord
    reader: Reader
    asker: Asker

    def go_on(self, why: str) -> None:
        """It has what was asked for; one that has ended is to go on."""
        if self.sweep.state in ENDED:
            self.asker.set_sweep_state("interrupted", why)


@contextmanager
def _asking(url: str, name: str) -> Iterator[Asking]:
    """One transaction, so that a driver that ends hears what it is asked, or is asked nothing.

    Raises StoreError where there is no such sweep.
    """
    with closing(Reader(url)) as reader:
        sweep = reader.sweep(name)
        if sweep is None:
            raise StoreError(f"there is no sweep {name} in this database")
        with closing(Store(url)) as store, (asker := store.asker(sweep.id)).together():
            yield Asking(reader.sweep(name) or sweep, reader, asker)


def extend(url: str, name: str, amount: str) -> tuple[int, bool]:
    """What the number of trials comes to; and whether it was asked of a driver, or, without one, written.

    Raises NoExtension, and StoreError where there is no such sweep.
    """
    with _asking(url, name) as asking:
        asker, earlier = asking.asker, asked(asking.reader.controls(asking.sweep.id))
        spec = SweepSpec.from_resolved(asking.sweep.spec)
        for _, said in earlier:
            with suppress(NoExtension):
                spec = extended(spec, said)
        spec = extended(spec, amount)
        if asker.driven:
            asker.ask(f"{VERB} {amount}")
        else:
            asker.extend(spec.search.trials)
            for control, _ in earlier:  # that no driver has heard: it is done with this
                asker.finish_control(control)
            asking.go_on(extended_to(spec))
        return spec.search.trials, asker.driven


# --- settled ---
class NotSettled(ValueError):
    """Why a sweep cannot be settled like that, in a sentence."""


def settled(spec: SweepSpec, said: Mapping[str, Any]) -> SweepSpec:
    """said: fields of `settle`, over those that the sweep has. Raises NotSettled."""
    before = {} if spec.settle is None else spec.settle.model_dump()
    try:
        settle = Settle.model_validate({**before, **said})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(("settle", *map(str, first["loc"])))
        raise NotSettled(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
    if settle.by is not None and (why := no_race_by(spec, settle.by)):
        raise NotSettled(f"settle.by: {why}")
    return spec.model_copy(update={"settle": settle})


def still_settled(given: SweepSpec, stored: SweepSpec) -> SweepSpec:
    """A file that does not say `settle` takes back nothing that was asked for since."""
    return given if given.settle else given.model_copy(update={"settle": stored.settle})


def words_of(said: Mapping[str, Any]) -> str:
    return " ".join((SETTLE, *(f"{key}={value}" for key, value in said.items())))


def asked_to_settle(requests: Iterable[ControlRecord]) -> list[tuple[int, dict[str, str]]]:
    """Which of the requests are to settle: their ids, and what they say."""
    return [
        (control.id, dict(word.split("=", 1) for word in control.verb.split(" ")[1:]))
        for control in requests
        if control.verb.partition(" ")[0] == SETTLE
    ]


def settle(url: str, name: str, said: Mapping[str, Any]) -> tuple[Settle, bool]:
    """What it is settled by; and whether it was asked of a driver, or, without one, written.

    Raises NotSettled, and StoreError where there is no such sweep.
    """
    with _asking(url, name) as asking:
        settle = settled(SweepSpec.from_resolved(asking.sweep.spec), said).settle
        assert settle is not None
        if asking.asker.driven:
            asking.asker.ask(words_of(said))
        else:
            asking.asker.change_spec("settle", settle.model_dump(mode="json"))
            asking.go_on(f"to be settled to {settle.within:.3g}")
        return settle, asking.asker.driven


# --- retried ---
class NothingToRetry(ValueError):
    """Why a trial is not run again, in a sentence."""


def to_retry(trials: Iterable[TrialRecord], name: str, chosen: Sequence[int]) -> list[TrialRecord]:
    """Those that have failed or were lost. chosen: as people call them; none: all there are.

    Raises NothingToRetry.
    """
    everything = list(trials)
    own = {trial.called: trial for trial in everything if trial.repeat_of is None}
    called = {trial.id: trial.called for trial in everything}
    repeated = {trial.called: called[trial.repeat_of] for trial in everything if trial.repeat_of is not None}
    for number in chosen:
        if number in repeated:
            raise NothingToRetry(f"trial {number} of {name} repeats trial {repeated[number]}: retry that one")
        trial = own.get(number)
        if trial is None:
            raise NothingToRetry(f"{name} has no trial {number}")
        if trial.state not in MAY_BE_RETRIED:
            raise NothingToRetry(f"trial {number} of {name} is {trial.state}: there is nothing to retry")
        if not trial.steps:
            raise NothingToRetry(f"trial {number} of {name} can be no run: {trial.error}")
    found = [each for each in own.values() if each.state in MAY_BE_RETRIED and each.steps]
    if not found:
        raise NothingToRetry(f"no trial of {name} has failed or was lost: there is nothing to retry")
    return [trial for trial in found if trial.called in (chosen or own)]


def retry(url: str, name: str, chosen: Sequence[int]) -> tuple[list[TrialRecord], bool]:
    """Which are to be run again; and whether that was asked of a driver, or, without one, written.

    Raises NothingToRetry, and StoreError where there is no such sweep.
    """
    with _asking(url, name) as asking:
        again, asker = to_retry(asking.reader.trials(asking.sweep.id), name, chosen), asking.asker
        if asker.driven:
            for trial in again:
                asker.ask(RETRY, trial.id)
        else:
            asker.retry([trial.id for trial in again], "asked to retry it")
            asking.go_on("asked to retry what has failed")
        return again, asker.driven
