"""Does the store know what a driver does? All that a driver holds is a copy, which the next one rebuilds."""

from typing import Any

from sweeper.driver.driver import Driver
from sweeper.driver.lease import HeldSweep
from sweeper.driver.trials import Trials
from sweeper.search.proposals import Proposals


def forgets(driver: Driver, held: HeldSweep) -> str:
    """'' where the search's study, made anew from the store, has all that it has; else what is not there.

    The store has a pruner's attributes as well, which the study needs not."""
    search, trials = driver._source._search, Trials(held)
    foreign = held.reader.foreign_trials(held.record.id)
    anew = _told(Proposals(search._spec, trials.stored, trials.outcomes(), foreign))
    for (known, attributes), (stored, there) in zip(_told(search._proposals), anew, strict=True):
        if known != stored or attributes.items() - there.items():
            return f"{known} with {attributes} is {stored} with {there} in the store"
    return ""


def _told(proposals: Proposals) -> list[tuple[Any, dict[str, Any]]]:
    return [
        ((each.number, each.state.name, each.params, each.values), _hashable(each.system_attrs))
        for each in proposals._study.get_trials(deepcopy=False)
    ]


def _hashable(attributes: dict[str, Any]) -> dict[str, str]:
    return {name: repr(value) for name, value in attributes.items()}
