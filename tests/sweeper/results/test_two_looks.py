"""A sentence about two checkpoints of the same runs: paired by run and document, on a text of its own."""

import math
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from sweeper.results import report as reports
from sweeper.results.compare import NotComparable, paired
from sweeper.results.measured import FAILS, HOLDS, UNKNOWN
from sweeper.spec.load import read_spec
from sweeper.spec.reference import Claim
from sweeper.store.queries import Reader
from sweeper.store.records import EvaluationRecord
from tests.sweeper.filled import evaluation
from tests.sweeper.results.test_report import fill
from trainer.evaluation.record import Evaluation

TEXT = """
name: two
trainer: {data: {name: pydocs, length: 64}}
always:
  - {finetune.block_size: 16}
  - {finetune.block_size: 4}
always_seeds: 4
search: {trials: 0}
reference:
  title: Of checkpoints
  rows: [{row: large}, {row: small}]
  sentences:
    - says: the best is better
      by: test_nelbo
      over: test_nelbo/last
      less: [[large, large], [small, small]]
"""


def moved(look: Evaluation, by: float, drawn: np.random.Generator | None = None) -> Evaluation:
    """Every document's nats per token by so much, and by a draw of the run's."""
    by += 0.0 if drawn is None else float(drawn.normal(0, 0.02))
    nats = [n + by * t for n, t in zip(look.nats_D, look.tokens_D, strict=True)]
    return look._replace(split="last", nelbo=look.nelbo + by, nats_D=nats)


def found(url: str, by: float, drawn: np.random.Generator | None = None) -> reports.Finding:
    made = read_spec(TEXT, "two.yaml", "two", ())
    fill(url, made, [5.4, 5.2], [1.0] * 2, [1.0] * 2, 4, lambda best: [best, moved(best, by, drawn)])
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("two")
        assert sweep is not None
        (finding,) = reports.report(reader, sweep).findings
    return finding


def test_what_the_last_step_loses_is_found_to_the_digit(tmp_path: Any) -> None:
    finding = found(f"sqlite:///{tmp_path}/s.db", 0.05)
    assert finding.word == HOLDS
    for part, name in zip(finding.differences, ("large", "small"), strict=True):
        assert (part.less, part.more) == (f"{name}, test_nelbo", f"{name}, test_nelbo/last")
        assert part.log_ratio == pytest.approx(-0.05, abs=1e-9)
        assert 0 <= part.half < 1e-6


@pytest.mark.parametrize(("by", "word"), [(0.5, HOLDS), (-0.5, FAILS), (0.0, UNKNOWN)])
def test_runs_that_differ_widen_the_interval(tmp_path: Any, by: float, word: str) -> None:
    finding = found(f"sqlite:///{tmp_path}/s.db", by, np.random.default_rng(3))
    assert finding.word == word
    assert all(part.half > 0.01 for part in finding.differences)


def record(look: Evaluation, trial: int) -> EvaluationRecord:
    kept = {name: getattr(look, name) for name in ("split", "step", "nelbo", "se", "identity", "provenance")}
    return EvaluationRecord(trial=trial, **kept, nats=look.nats_D, tokens=look.tokens_D, exact=None)


def test_one_run_has_no_interval_and_two_texts_no_difference() -> None:
    best = evaluation("test", 9, 5.0, block_size=4, seed=0, noise="0")
    difference, half = paired([[record(best, 1)], [record(moved(best, 0.1), 1)]])
    assert difference == pytest.approx(-0.1)
    assert half == math.inf
    other = evaluation("valid", 9, 5.0, block_size=4, seed=0, noise="0")
    with pytest.raises(NotComparable):
        paired([[record(best, 1)], [record(other, 1)]])


def test_only_looks_at_documents_are_held_together_like_that() -> None:
    with pytest.raises(ValidationError, match="with `over` both are of"):
        Claim(says="", by="steps", over="test_nelbo/last", less=(("a", "a"),))
