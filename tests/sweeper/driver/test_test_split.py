"""Nothing that decides anything reads the test split: not the search, not the board, not a trial's best."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sweeper.results.leaderboard import leaderboard
from sweeper.store.queries import Reader
from tests import fakes
from tests.sweeper.driving import make_spec, run_to_end, told
from trainer.evaluation.record import Evaluation, Report
from trainer.metrics import METRICS, RANKABLE

NAMES = ("test_nelbo", "test_nelbo_se", "test_ppl", "test_bpb")


def told_under(sign: float, place: Path, patch: pytest.MonkeyPatch) -> tuple[dict[str, Any], list[Any]]:
    """A sweep whose test numbers, in every report, follow the valid ones or run against them."""
    plain = fakes._report

    def with_test(row: dict[str, Any]) -> Report:
        report = plain(row)
        nelbo = 5 + sign * report.values["val_nelbo"]
        tested = Evaluation("test", report.step, nelbo, 0.1, {"text": "fake"}, {}, [nelbo, nelbo], [1, 1], 2)
        values = {**report.values, **tested.metrics()}
        assert set(NAMES) <= set(values)
        return report._replace(values=values, evaluations=(*report.evaluations, tested))

    with patch.context() as during:
        during.setattr(fakes, "_report", with_test)
        place.mkdir()
        url = f"sqlite:///{place}/sweeps.db"
        run_to_end(url, make_spec("always=[{finetune.block_size: 16}]", "always_seeds=2"), place / "files")
    found = told(url)
    assert {name: found["rows"].pop(name) for name in NAMES}["test_ppl"]
    found["best"] = [row for row in found["best"] if row.name not in NAMES]
    with closing(Reader(url)) as reader:
        rows = [row.to_json() for row in leaderboard(reader, "test").rows]
    assert all(row.pop(name) for row in rows for name in NAMES if row["state"] == "complete")
    found_estimates = [row["estimates"].pop(name, None) for row in rows for name in NAMES]
    assert any(found_estimates)
    return found, rows


def test_a_sweep_is_the_same_whatever_its_test_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alike = told_under(1.0, tmp_path / "alike", monkeypatch)
    against = told_under(-1.0, tmp_path / "against", monkeypatch)
    assert alike == against


def test_no_number_of_the_test_split_may_rank() -> None:
    assert not [name for name in RANKABLE if "test" in name]
    of_test = [metric for metric in METRICS if metric.name.startswith("test")]
    assert "test_nelbo" in [metric.name for metric in of_test]
    assert {metric.direction for metric in of_test} == {"none"}
