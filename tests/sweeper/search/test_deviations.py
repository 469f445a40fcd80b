"""What a sampler is told of documents adds up to the standard error that the board shows."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.search.deviations import deviations
from trainer.evaluation.record import ratio_and_se
from trainer.metrics import RANKABLE

documents = st.lists(st.tuples(st.floats(1, 100), st.integers(1, 50)), min_size=2, max_size=20)


@given(documents=documents)
def test_the_sum_of_their_squares_is_the_errors(documents: list[tuple[float, int]]) -> None:
    nats_D, tokens_D = [nats for nats, _ in documents], [tokens for _, tokens in documents]
    nelbo, se = ratio_and_se(nats_D, tokens_D)
    found = deviations("val_nelbo", nelbo, nats_D, tokens_D)
    assert math.sqrt(math.fsum(each**2 for each in found)) == pytest.approx(se, abs=1e-9)
    assert math.fsum(found) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("metric", RANKABLE)
def test_they_are_in_the_units_of_the_metric(metric: str) -> None:
    """By how much the value changes where every document has a little more of its own."""
    nats_D, tokens_D, text_bytes, little = [30.0, 20.0, 45.0], [10, 10, 20], 100, 1e-6

    def value(nats_D: list[float]) -> float:
        nelbo = math.fsum(nats_D) / sum(tokens_D)
        per_byte = math.fsum(nats_D) / math.log(2) / text_bytes
        return {"val_nelbo": nelbo, "val_ppl": math.exp(nelbo), "val_bpb": per_byte}[metric]

    nelbo = math.fsum(nats_D) / sum(tokens_D)
    scale = math.sqrt(3 / 2) / little
    for d, found in enumerate(deviations(metric, value(nats_D), nats_D, tokens_D)):
        more = [*nats_D]
        more[d] += little * (nats_D[d] - nelbo * tokens_D[d])
        assert found == pytest.approx(scale * (value(more) - value(nats_D)), rel=1e-4)


def test_a_single_document_has_none() -> None:
    assert deviations("val_ppl", 8.0, [2.0], [1]) == []
