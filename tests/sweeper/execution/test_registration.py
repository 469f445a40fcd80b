"""What a sweep says in its stored spec from the moment it is made, and what may change when it goes on."""

from contextlib import closing
from pathlib import Path

import pytest

from sweeper.execution.registration import AnotherSpec, Registered, register
from sweeper.spec.spec import RANK_ERROR, RANKING_ERROR, SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.sweeper.driving import make_spec

PRECISE = "trainer.compute.precision=float32"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/sweeps.db"


def registered(url: str, spec: SweepSpec) -> Registered:
    with closing(Store(url)) as store, closing(Reader(url)) as reader:
        return register(spec, "files", store, reader, lambda line: None)


def older(url: str, spec: SweepSpec, state: str = "running") -> None:
    """As a tree that knew no rank_error made it."""
    with closing(Store(url)) as store:
        sweep = store.create_sweep(
            name=spec.name, spec_text="", spec=spec.resolved(), code_version="", folder="files"
        )
        store.take_lease(sweep.id, "me", 60)
        store.writer(sweep.id, "me").set_sweep_state(state)
        store.release_lease(sweep.id, "me")


def test_a_sweep_that_is_made_says_the_error_of_what_ranks_and_goes_on_with_it(url: str) -> None:
    spec = make_spec(PRECISE)
    for _ in range(2):
        found = registered(url, spec)
        assert found.spec.trainer[RANK_ERROR] == RANKING_ERROR
        assert found.record.spec["trainer"][RANK_ERROR] == RANKING_ERROR


def test_one_that_says_its_own_keeps_it(url: str) -> None:
    found = registered(url, make_spec(PRECISE, f"trainer.{RANK_ERROR}=0.01"))
    assert found.spec.trainer[RANK_ERROR] == 0.01
    with pytest.raises(AnotherSpec):
        registered(url, make_spec(PRECISE, f"trainer.{RANK_ERROR}=0.02"))


def test_a_sweep_made_before_goes_on_without_and_has_the_same_hashes(url: str) -> None:
    spec = make_spec(PRECISE)
    older(url, spec)
    found = registered(url, spec)
    assert RANK_ERROR not in found.spec.trainer
    point = {"finetune.block_size": 4}
    assert found.spec.train_config(point, 3).content() == spec.train_config(point, 3).content()


def test_settle_may_change_and_has_a_sweep_that_ended_go_on(url: str) -> None:
    older(url, make_spec(PRECISE), "complete")
    assert registered(url, make_spec(PRECISE)).ended
    found = registered(url, make_spec(PRECISE, "settle={}"))
    assert not found.ended
    assert found.changed["settle"]["within"] == 0.01


def test_a_file_without_settle_takes_nothing_back(url: str) -> None:
    older(url, make_spec(PRECISE, "settle={within: 2%}"), "complete")
    found = registered(url, make_spec(PRECISE))
    assert found.spec.settle is not None
    assert found.spec.settle.within == 0.02
    assert found.ended
    assert not found.changed
