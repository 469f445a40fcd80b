"""What ranks a run: its best checkpoint scored again at its end, or later, under masks for a wanted error."""

import json
import math
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.tiny_runs import reports_of, returned, tiny_config, without_seconds, write_corpus
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.errors import CheckpointError
from trainer.evaluation.bound import evaluate
from trainer.evaluation.record import Evaluation, Report, ratio_and_se
from trainer.metrics import AGAIN, BY_NAME, RANKABLE
from trainer.training import run
from trainer.training.reevaluate import reevaluate
from trainer.training.rows import read_rows

SETTINGS: dict[str, Any] = {"pretrain__steps": 0, "finetune__block_size": 8}
RANKED = {"ranked_nelbo", "ranked_ppl", "ranked_bpb", "ranked_nelbo_se"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def plain(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Report]]:
    folder = tmp_path_factory.mktemp("plain")
    return folder, reports_of(tiny_config(corpus, **SETTINGS), folder)


@pytest.fixture(scope="module")
def ranked(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Report]]:
    folder = tmp_path_factory.mktemp("ranked")
    return folder, reports_of(tiny_config(corpus, evaluation__rank_error=0.01, **SETTINGS), folder)


def scored(folder: Path, **how: Any) -> Evaluation:
    return returned(reevaluate(folder, device="cpu", **how))


def test_looks_are_what_they_were(
    plain: tuple[Path, list[Report]], ranked: tuple[Path, list[Report]]
) -> None:
    """Every row but the last to the bit, and of that all but what the masks for a rank are for."""
    *looks, last = without_seconds(plain[1])
    *ranked_looks, ranked_last = without_seconds(ranked[1])
    assert looks == ranked_looks
    own = RANKED | {name for name in last.values if name.startswith("test_")}
    assert ranked_last.values.keys() >= RANKED
    assert not RANKED & last.values.keys()
    shared = {name: value for name, value in ranked_last.values.items() if name not in own}
    assert shared == {name: value for name, value in last.values.items() if name not in own}
    assert last.evaluations[0] == ranked_last.evaluations[0]


def test_without_a_wanted_error_nothing_says_of_ranks(plain: tuple[Path, list[Report]]) -> None:
    for line in (plain[0] / "rows.jsonl").read_text().splitlines():
        for evaluation in json.loads(line)["evaluations"]:
            assert not {"ranks", "exact_nats_D"} & evaluation.keys()
            assert "round" not in evaluation["provenance"]


def test_a_run_ends_with_what_ranks_it(ranked: tuple[Path, list[Report]]) -> None:
    folder, reports = ranked
    last = reports[-1]
    look, of_best, test = last.evaluations
    assert [(each.split, each.ranks) for each in last.evaluations] == [
        ("valid", False),
        ("valid", True),
        ("test", True),
    ]
    assert last.values["ranked_nelbo"] == of_best.nelbo
    assert last.values["test_nelbo"] == test.nelbo
    assert of_best.identity == look.identity
    assert min(of_best.provenance["draws"], test.provenance["draws"]) > look.provenance["draws"]
    evaluated = [report for report in reports if report.evaluations]
    best = min(evaluated, key=lambda report: report.values["val_nelbo"])
    assert of_best.step == test.step == best.step
    assert tuple(read_rows(folder / "rows.jsonl"))[-1] == last, "and it is read back as it was"


def test_scored_again_it_is_the_same_to_the_bit(ranked: tuple[Path, list[Report]]) -> None:
    folder, reports = ranked
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    threads = torch.get_num_threads()
    assert scored(folder) == reports[-1].evaluations[1]
    assert scored(folder, split="test") == reports[-1].evaluations[2]
    assert before == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("block_size", [1, 4])
def test_what_leaves_nothing_to_masks_is_not_evaluated_twice(
    block_size: int, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, int]] = []

    def counted(*args: Any, **kwargs: Any) -> Generator[None, None, Evaluation]:
        evaluation = yield from evaluate(*args, **kwargs)
        made.append((evaluation.split, evaluation.step))
        return evaluation

    monkeypatch.setattr(run, "evaluate", counted)
    more = {"evaluation__rank_error": 0.01, "finetune__block_size": block_size}
    reports = reports_of(tiny_config(corpus, **{**SETTINGS, **more}), tmp_path)
    look, of_best, test = reports[-1].evaluations
    assert of_best.ranks
    assert look.step == of_best.step, "its last look is its best one"
    assert made.count(("valid", look.step)) == 1
    assert scored(tmp_path) == of_best
    assert scored(tmp_path, split="test") == test


def test_a_run_of_before_can_be_ranked_like_a_new_one(
    plain: tuple[Path, list[Report]], ranked: tuple[Path, list[Report]]
) -> None:
    """Its looks' masks where nothing is said; else the masks that anyone has for that error."""
    folder, reports = plain
    look = next(e for r in reports for e in r.evaluations if e.step == reports[-1].evaluations[1].step)
    assert scored(folder) == look._replace(ranks=True)
    assert scored(folder, rank_error=0.01) == scored(ranked[0])
    number = scored(ranked[0]).provenance["draws"]
    assert scored(folder, masks=number) == scored(folder, rank_error=0.01)


def test_a_round_is_provenance_and_its_masks_are_its_own(ranked: tuple[Path, list[Report]]) -> None:
    folder, _ = ranked
    rounds = [scored(folder, round=number) for number in range(4)]
    assert "round" not in rounds[0].provenance
    assert [each.provenance["round"] for each in rounds[1:]] == [1, 2, 3]
    assert len({each.nelbo for each in rounds}) == 4
    assert all(each.identity == rounds[0].identity for each in rounds)
    assert all(each.tokens_D == rounds[0].tokens_D for each in rounds)
    assert scored(folder, round=2) == rounds[2]


def test_a_round_has_common_masks_at_one_block_size(
    corpus: Path, ranked: tuple[Path, list[Report]], tmp_path: Path
) -> None:
    """Two runs of other schedules agree on a difference far better than their masks would let them."""
    reports_of(tiny_config(corpus, finetune__schedule__name="cosine", **SETTINGS), tmp_path)
    pairs = [(scored(ranked[0], round=n, masks=2), scored(tmp_path, round=n, masks=2)) for n in range(6)]
    nelbos = torch.tensor([[one.nelbo, other.nelbo] for one, other in pairs])
    assert nelbos.diff(dim=1).std() < 0.5 * nelbos.std(dim=0).min()


def test_more_masks_have_less_of_an_error(ranked: tuple[Path, list[Report]]) -> None:
    few, many = (
        torch.tensor([scored(ranked[0], masks=masks, round=n).nelbo for n in range(12)]) for masks in (2, 32)
    )
    assert 0 < many.std() < 0.5 * few.std()


def test_more_text_is_another_identity(ranked: tuple[Path, list[Report]]) -> None:
    fewer, more = (scored(ranked[0], masks=1, sequences=number) for number in (4, 10**6))
    assert fewer.identity["sequences"] == 4
    assert more.identity["sequences"] > 16
    assert sum(more.tokens_D) == 15 * more.identity["sequences"]
    assert (more.nelbo, more.se) == ratio_and_se(more.nats_D, more.tokens_D)


def test_an_exact_bound_needs_no_masks(corpus: Path, tmp_path: Path) -> None:
    config = tiny_config(corpus, **{**SETTINGS, "finetune__block_size": 2}, evaluation__rank_error=0.001)
    last = reports_of(config, tmp_path)[-1]
    assert last.evaluations[1].provenance["bound"] == "enumerated"
    assert scored(tmp_path, round=3).nats_D == last.evaluations[1].nats_D


def test_what_makes_no_sense_is_refused(ranked: tuple[Path, list[Report]], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one of the two"):
        scored(ranked[0], rank_error=0.1, masks=3)
    for name, value in {"masks": 0, "rank_error": -1.0, "sequences": 0}.items():
        with pytest.raises(ValueError, match=f"{name} must be greater than 0"):
            scored(ranked[0], **{name: value})
    with pytest.raises(CheckpointError, match="holds no run"):
        scored(tmp_path)
    (tmp_path / "config.json").write_bytes((ranked[0] / "config.json").read_bytes())
    with pytest.raises(CheckpointError, match="there is no such checkpoint"):
        scored(tmp_path)


@settings(deadline=None)
@given(st.none() | st.floats(1e-4, 1.0))
def test_the_setting_is_content_only_where_it_is_said(error: float | None) -> None:
    """So what was made before it was there keeps its hash; and no pretrain belongs to it."""
    plain, sized = TrainConfig.from_dotted({}), TrainConfig.from_dotted({"evaluation.rank_error": error})
    assert "evaluation.rank_error" not in plain.content()
    assert (sized.content() == plain.content()) == (error is None)
    assert sized.content().get("evaluation.rank_error") == error
    assert plain.stage_key() == sized.stage_key()


def test_no_error_at_all_is_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"evaluation\.rank_error: must be greater than 0"):
        TrainConfig.from_dotted({"evaluation.rank_error": 0})


def test_what_ranks_again_is_no_name_to_search_by() -> None:
    assert AGAIN.keys() <= set(RANKABLE)
    assert not set(AGAIN.values()) & set(RANKABLE)
    for name, again in AGAIN.items():
        assert BY_NAME[name].unit == BY_NAME[again].unit
        assert BY_NAME[name].direction == BY_NAME[again].direction


@given(st.floats(0.1, 690), st.booleans(), st.sampled_from(["valid", "test"]))
def test_rows_are_named_by_split_and_by_what_they_are_for(nelbo: float, ranks: bool, split: str) -> None:
    evaluation = Evaluation(split, 1, nelbo, 0.1, {}, {}, [nelbo, nelbo], [1, 1], text_bytes=4, ranks=ranks)
    rows = evaluation.metrics()
    prefix = "test" if split == "test" else "ranked" if ranks else "val"
    assert rows.keys() == {f"{prefix}_{name}" for name in ("nelbo", "ppl", "nelbo_se", "bpb")}
    assert all(math.isfinite(value) for value in rows.values())
    assert Evaluation(**json.loads(json.dumps(evaluation.as_json()))) == evaluation
