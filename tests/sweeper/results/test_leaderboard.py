"""The board: configurations, not runs; ranked only with what is comparable."""

import json
import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sweeper.results.leaderboard import Board, leaderboard
from sweeper.results.row import Differing
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import MetricRow
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from sweeper.terminal.board_table import legend
from tests.sweeper.filled import fill
from trainer.evaluation.record import Evaluation, ratio_and_se

TOKENS = [30, 50, 40, 80, 65]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/sweeps.db"


@pytest.fixture
def writer(url: str) -> Iterator[Writer]:
    store = Store(url)
    spec = {"metric": ["val_bpb", "var_nelbo"]}
    sweep = store.create_sweep(name="s", spec_text="", spec=spec, code_version="1", folder="")
    store.take_lease(sweep.id, "me", 3600)
    yield store.writer(sweep.id, "me")
    store.close()


def board(url: str, name: str = "s") -> Board:
    reader = Reader(url)
    try:
        return leaderboard(reader, name)
    finally:
        reader.close()


def add(
    writer: Writer,
    level: float,
    *,
    value: Any,
    seed: int = 0,
    state: str = "complete",
    role: str = "search",
    text: str = "pydocs",
    tokens: list[int] = TOKENS,
    tested: bool = False,
    exact: list[float] | None = None,
    provenance: dict[str, Any] | None = None,
) -> int:
    configuration = writer.add_configuration(f"{value}", {"finetune.lr": value, "data.name": "pydocs"})
    trial = writer.add_trial(
        configuration=configuration,
        role=role,
        seed=seed,
        steps=9,
        params={},
        distributions={},
        system_attrs={},
    ).id
    if state == "queued":
        return trial
    attempt = writer.start_trial(trial)
    nats = [level * count for count in tokens]
    nelbo, se = ratio_and_se(nats, tokens)
    rows = {
        "val_nelbo": nelbo,
        "val_ppl": math.exp(nelbo),
        "val_bpb": nelbo / 2,
        "lr": 1e-3,
        "test_nelbo": nelbo,
    }
    writer.add_rows(
        trial,
        attempt,
        [MetricRow(name, 9, number) for name, number in rows.items()],
        [
            Evaluation(
                split, 9, nelbo, se, {"text": text}, provenance or {}, nats, tokens, exact_nats_D=exact or []
            )
            for split in ("valid", *(["test"] if tested else []))
        ],
    )
    if state != "running":
        writer.end_trial(trial, attempt, state)
    return trial


def differing(*values: dict[str, Any]) -> set[str]:
    found = Differing()
    for each in values:
        found.add(each)
    return found.names


def test_the_document_is_as_promised(url: str) -> None:
    """Every key, and nothing that JSON has no word for."""
    fill(url)
    document = board(url, "schedules").to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["schema_version"] == 2
    assert document["sweep"] == {
        "id": 1,
        "name": "schedules",
        "state": "running",
        "trials": {"complete": 8, "pruned": 1, "failed": 1, "running": 1, "queued": 1},
    }
    assert len(document["rows"]) == 10
    for row in document["rows"]:
        assert list(row)[:5] == ["rank", "configuration", "values", "trials", "seeds"]
        assert list(row)[5:11] == [
            "state",
            "step",
            "val_ppl",
            "val_ppl_low",
            "val_ppl_high",
            "tied_with_best",
        ]
    ranked = [row for row in document["rows"] if row["rank"] is not None]
    for row in ranked:
        assert row["val_ppl_low"] < row["val_ppl"] < row["val_ppl_high"]
        assert row["val_ppl"] == pytest.approx(math.exp(row["val_nelbo"]))
        assert row["test_ppl"] == pytest.approx(math.exp(row["test_nelbo"]))
        assert {"train_loss", "grad_norm", "var_nelbo", "val_bpb", "objective"} <= set(row)
    assert [row["val_ppl"] for row in ranked] == sorted(row["val_ppl"] for row in ranked)


def test_configurations_are_ranked_and_the_rest_follows(url: str) -> None:
    fill(url)
    rows = board(url, "schedules").rows
    states = [row.state for row in rows]
    assert states == ["complete"] * 6 + ["running", "queued", "pruned", "failed"]
    assert [row.rank is None for row in rows] == [state != "complete" for state in states]
    (baseline,) = [row for row in rows if row.roles == ["baseline"]]
    assert (baseline.trials, baseline.seeds) == ([1, 2, 3], 3)
    assert 13 not in [trial for row in rows for trial in row.trials]  # the repeat
    running = rows[6]
    assert (running.step, running.val_ppl_low) == (1630, None)
    assert running.val_ppl == pytest.approx(math.exp(running.val_nelbo or 0))


def test_searched_are_the_names_that_vary(url: str) -> None:
    fill(url)
    names = board(url, "schedules").searched
    assert "finetune.schedule.mu" in names
    assert "finetune.block_size" in names
    assert "data.length" not in names
    assert differing({"a": 1, "b": None}, {"a": 1}) == {"b"}
    assert differing({"a": 1}, {"a": 1, "b": None}, {"a": 2, "c": 1}) == {"a", "b", "c"}
    assert differing({}, {"a": 1}, {}) == {"a"}
    assert differing() == set()


def test_one_seed_names_no_winner(url: str, writer: Writer) -> None:
    add(writer, 5.0, value=1)
    add(writer, 9.0, value=2)
    found = board(url)
    assert [(row.rank, row.tied_with_best, row.why, row.margin) for row in found.rows] == [
        (1, True, "best", 0.0),
        (1, True, "one seed", None),
    ]
    assert found.winner is None
    assert found.metric == "val_bpb"


def test_a_winner_and_equal_ranks(url: str, writer: Writer) -> None:
    """Ties share rank 1; the next has the place that it stands in."""
    for seed in range(3):
        noise = 0.001 * (seed - 1)
        add(writer, 5.0 + seed, value=1, seed=seed)
        add(writer, 5.0 + seed + noise, value=2, seed=seed, role="baseline")
        add(writer, 6.0 + seed - noise, value=3, seed=seed)
        add(writer, 7.0 + seed, value=4, seed=seed)
    found = board(url)
    assert [(row.values["finetune.lr"], row.rank, row.tied_with_best) for row in found.rows] == [
        (1, 1, True),
        (2, 1, True),
        (3, 3, False),
        (4, 4, False),
    ]
    assert found.rows[0].difference == 0.0
    assert found.rows[3].difference == pytest.approx(2.0)
    assert found.rows[0].metrics["val_bpb"] == pytest.approx(3.0)
    assert found.winner is None
    for seed in range(3):
        add(writer, 4.0 + seed, value=5, seed=seed)
    winner = board(url).winner
    assert winner is not None
    assert winner.values["finetune.lr"] == 5


def test_pruned_never_outranks_finished(url: str, writer: Writer) -> None:
    add(writer, 1.0, value=1, state="pruned")
    add(writer, 2.0, value=2, state="failed")
    add(writer, 9.0, value=3)
    add(writer, 3.0, value=4, state="running")
    add(writer, 3.0, value=5, state="stopped")
    add(writer, 0.0, value=6, state="queued")
    found = board(url)
    assert [(row.values["finetune.lr"], row.rank) for row in found.rows] == [
        *((3, 1), (4, None), (6, None)),
        *((1, None), (5, None), (2, None)),
    ]
    assert found.rows[1].val_nelbo == pytest.approx(3.0)


def test_a_configuration_is_ranked_on_its_finished_runs(url: str, writer: Writer) -> None:
    first = add(writer, 5.0, value=1, seed=0)
    more = [
        add(writer, 1.0, value=1, seed=1, state="failed"),
        add(writer, 1.0, value=1, seed=2, state="running"),
    ]
    (row,) = board(url).rows
    assert (row.state, row.seeds, row.trials) == ("complete", 1, [first, *more])
    assert row.val_nelbo == pytest.approx(5.0)


def test_only_the_same_text_is_ranked_together(url: str, writer: Writer) -> None:
    """The baselines say which; another evaluation set, or other documents, has no rank."""
    for value, text in ((1, "wikitext"), (2, "wikitext"), (3, "wikitext")):
        add(writer, 1.0, value=value, text=text)
    add(writer, 5.0, value=4, role="baseline")
    add(writer, 6.0, value=5)
    add(writer, 0.5, value=6, tokens=[30, 50, 40, 80, 64])
    rows = board(url).rows
    assert [row.values["finetune.lr"] for row in rows if row.rank] == [4, 5]
    assert {row.note for row in rows if not row.rank} == {"evaluated on another text or in another way"}
    add(
        writer, 5.5, value=4, role="baseline", seed=1, text="wikitext"
    )  # of two kinds: no longer one quantity
    assert [row.values["finetune.lr"] for row in board(url).rows if row.rank] == [1, 2, 3]


def test_a_row_says_that_it_was_adjusted(url: str, writer: Writer) -> None:
    for seed in range(3):
        add(writer, 5.0 + seed, value=1, seed=seed, role="baseline")
    add(writer, 4.9, value=2, seed=0)
    first, second = board(url).rows
    assert (first.values["finetune.lr"], first.val_nelbo) == (2, pytest.approx(5.9))
    assert first.metrics["val_bpb"] == pytest.approx(5.9 / 2)
    assert first.note == "adjusted by +1.0000 nats/token for its seeds"
    assert second.note == ""


def test_a_hopeless_bound_is_still_json(url: str, writer: Writer) -> None:
    configuration = writer.add_configuration("x", {"finetune.lr": 1})
    trial = writer.add_trial(
        configuration=configuration,
        role="search",
        seed=0,
        steps=9,
        params={},
        distributions={},
        system_attrs={},
    ).id
    evaluation = Evaluation(
        "valid", 9, 800.0, math.inf, {}, {}, [8000.0], [10]
    )  # one document: no error known
    writer.add_rows(trial, writer.start_trial(trial), [MetricRow("val_nelbo", 9, 800.0)], [evaluation])
    writer.end_trial(trial, 1, "complete")
    (row,) = json.loads(json.dumps(board(url).to_json(), allow_nan=False))["rows"]
    assert (row["rank"], row["val_nelbo"], row["val_ppl"], row["val_ppl_high"]) == (1, 800.0, None, None)


def test_no_such_sweep_and_an_empty_one(url: str, writer: Writer) -> None:
    with pytest.raises(StoreError, match="there is no sweep x in this database; there are: s"):
        board(url, "x")
    assert board(url).rows == []
    assert board(url).to_json()["sweep"]["trials"] == {}


def test_the_test_split_is_compared_on_equal_seeds(writer: Writer, url: str) -> None:
    """Seed 0 costs 1 nat: who ran with it alone is no worse on test than on valid."""
    for seed, cost in ((0, 1.0), (1, 0.0), (2, 0.0)):
        add(writer, 5.1 + cost, value=1, seed=seed, role="baseline", tested=True)
    add(writer, 6.0, value=2, tested=True)
    first, second = board(url).rows
    assert first.metrics["test_ppl"] == pytest.approx(math.exp(6.0))  # as its run said
    for row in (first, second):
        estimate = row.estimates["test_ppl"]
        assert estimate.value == pytest.approx(row.val_ppl)
        assert estimate.over == "text and seeds"
        assert row.estimates["val_bpb"].value == pytest.approx((row.val_nelbo or 0) / 2)
    assert second.estimates["test_ppl"].difference == pytest.approx(0.1)
    assert second.to_json()["estimates"]["test_ppl"]["difference"] == pytest.approx(0.1)


def test_a_row_below_its_source_raises_an_alarm(writer: Writer, url: str) -> None:
    """The source has 5 nats a token, each document a little more or less."""
    source = [5.0 * t + n for t, n in zip(TOKENS, (1.0, -2.0, 0.5, 1.5, -1.0), strict=True)]
    add(writer, 5.3, value=1, exact=source)
    add(writer, 4.99, value=2, exact=source)  # within the error
    assert board(url).alarms == []
    leak = add(writer, 4.5, value=3, exact=source)
    (alarm,) = board(url).alarms
    assert alarm.startswith(f"ALARM: trial {leak}: 0.5000 nats per token below the source's own likelihood")
    assert board(url).to_json()["alarms"] == [alarm]


def test_a_board_says_in_which_precision_and_where_there_are_several(writer: Writer, url: str) -> None:
    """What says none is from before there was another."""
    add(writer, 1.0, value=1, provenance={"precision": "bfloat16"})
    add(writer, 1.1, value=2, provenance={"precision": "bfloat16"})
    alike = board(url)
    assert alike.to_json()["precisions"] == {"bfloat16": 2}
    assert "Computed in bfloat16." in legend(alike)
    assert not any("recision" in line for line in alike.said)
    add(writer, 1.2, value=3)
    mixed = board(url)
    said = "Precision is mixed, 2 trials in bfloat16, 1 in float32: differences between these are of rounding, too."  # noqa: E501
    assert said in mixed.said
    assert not any(line.startswith("Computed in") for line in legend(mixed))
    with closing(Reader(url)) as reader:
        assert reader.precisions(mixed.id) == mixed.precisions == {"bfloat16": 2, "float32": 1}
        assert reader.precisions(99) == {}
