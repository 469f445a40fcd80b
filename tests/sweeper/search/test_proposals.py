"""The study that is rebuilt from stored trials proposes what the one that was never lost would have."""

import json
import math
from typing import Any

import pytest

from sweeper.search.proposals import FAILED, Outcome, Proposal, Proposals
from sweeper.spec.spec import SweepSpec
from sweeper.store.records import TrialRecord
from tests.sweeper.conftest import ENDLESS
from tests.sweeper.driving import make_spec


def stored(proposal: Proposal, state: str) -> TrialRecord:
    """As the store gives it back: through JSON."""
    params, distributions, attributes = json.loads(json.dumps(proposal[1:]))
    number = proposal.number or 0
    empty: dict[str, Any] = {
        "reason": "", "error": "", "worker": "", "created": 0.0, "started": None, "ended": None,
        "cpu_seconds": 0.0, "gpu_seconds": 0.0, "tokens": 0,
    }  # fmt: skip
    return TrialRecord(
        id=number + 1, sweep=1, configuration=1, role="search", number=number,
        trial_number=None, seed=0, repeat_of=None,
        state=state, attempt=1, stage=None, steps=1, params=params, distributions=distributions,
        system_attrs=attributes, **empty,
    )  # fmt: skip


def outcome(proposal: Proposal, metrics: int = 1) -> Outcome:
    """Every fifth fails, and every fifth is pruned."""
    number, block_size = proposal.number or 0, proposal.params["finetune.block_size"]
    value = (proposal.params.get("finetune.schedule.mu", 0.9) - 0.4) ** 2 + block_size
    if number % 5 == 4:
        return FAILED
    if number % 5 == 2:
        return Outcome(pruned=(number, value + 1))
    return Outcome((value, 1 / block_size)[:metrics])


def ended(proposal: Proposal, metrics: int = 1) -> TrialRecord:
    """As the store gives it back."""
    told = outcome(proposal, metrics)
    return stored(proposal, "complete" if told.values else "pruned" if told.pruned else "failed")


def search(spec: SweepSpec, asks: int, *, rebuilt_each_time: bool) -> list[Proposal]:
    proposals = Proposals(spec, [], {})
    asked: list[Proposal] = []
    for _ in range(asks):
        if rebuilt_each_time:
            metrics = len(spec.metrics)
            outcomes = {(each.number or 0) + 1: outcome(each, metrics) for each in asked}
            proposals = Proposals(spec, reversed([ended(each, metrics) for each in asked]), outcomes)
        asked.append(ask(proposals))
        if not rebuilt_each_time:
            proposals.tell(asked[-1].number or 0, outcome(asked[-1], len(spec.metrics)))
    return asked


def ask(proposals: Proposals) -> Proposal:
    proposal = proposals.ask()
    assert proposal is not None
    return proposal


@pytest.mark.parametrize("metric", ["val_ppl", "[val_ppl, seconds]"])
@pytest.mark.parametrize(
    "sampler", [pytest.param(each, marks=pytest.mark.long) if each == "gp" else each for each in ENDLESS]
)
def test_rebuilding_before_every_ask_changes_nothing(sampler: str, metric: str, small_samplers: None) -> None:
    spec = make_spec(
        f"search.sampler={sampler}", f"metric={metric}", "search.trials=60",
        "constraints=['finetune.schedule.mu < 0.7', 'finetune.block_size < 16 or finetune.schedule.mu > .3']",
    )  # fmt: skip
    asked = search(spec, 32, rebuilt_each_time=False)
    assert search(spec, 32, rebuilt_each_time=True) == asked
    assert all(each.params.get("finetune.schedule.mu", 0) < 0.7 for each in asked)


def test_tpe_learns_and_seeds_differ() -> None:
    spec, other = make_spec("search.trials=40"), make_spec("search.trials=40", "search.seed=4")
    asked = search(spec, 40, rebuilt_each_time=False)
    late = [each.params["finetune.block_size"] for each in asked[20:]]
    assert late.count(4) > 10  # the best of three
    assert asked != search(other, 40, rebuilt_each_time=False)


def test_a_running_trial_keeps_its_number_and_can_be_told() -> None:
    spec = make_spec()
    whole = Proposals(spec, [], {})
    first = ask(whole)
    rebuilt = Proposals(spec, [stored(first, "running")], {})
    assert rebuilt.count == 1
    rebuilt.tell(0, Outcome((1.0,)))
    whole.tell(0, Outcome((1.0,)))
    assert rebuilt.ask() == whole.ask()


def test_points_come_first_and_a_value_that_is_no_number_is_a_failure() -> None:
    points = "[{finetune.block_size: 16, finetune.schedule.name: gaussian, finetune.schedule.mu: 0.25}]"
    proposals = Proposals(make_spec(f"search.points={points}"), [], {})
    first = ask(proposals)
    assert first.params == {
        "finetune.block_size": 16, "finetune.schedule.name": "gaussian", "finetune.schedule.mu": 0.25,
    }  # fmt: skip
    proposals.tell(0, Outcome((math.nan,)))
    proposals.tell(ask(proposals).number or 0, Outcome((2.0,)))
    assert ask(proposals).number == 2


def test_a_list_and_a_grid_have_an_end() -> None:
    text = "name: test\nspace: {finetune.block_size: {choice: [4, 16]}}\nsearch: {sampler: grid}"
    proposals = Proposals(make_spec(text=text), [], {})
    assert [ask(proposals).params["finetune.block_size"] for _ in range(2)] == [4, 16]
    assert proposals.exhausted
