"""The answer, sweeps, stages, report and cluster: of a sweep that runs, has ended, has raced, has failed."""

import math
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import compute, frame
from dashboard.deciding import best_of, deciding
from dashboard.failures import failures, kind_of
from dashboard.figures.cluster import GAP, Series, by_class, over_time
from dashboard.figures.floors import floors, floors_of
from dashboard.figures.report import Compared, against_printed
from dashboard.figures.stages import MOST_BRANCHES, Branch, Trunk, tree
from sweeper.planning.flops import flops_of_run
from sweeper.results.leaderboard import Board, leaderboard
from sweeper.results.report import DIFFERS, REPRODUCED
from sweeper.store.queries import Reader
from sweeper.store.records import Usage
from sweeper.store.store import Store
from tests.dashboard.test_views import opened, words
from tests.sweeper.filled import HOLDER, STEPS, fill
from tests.sweeper.results import test_report as reports
from tests.sweeper.results.test_fresh import TOKENS, add
from trainer.evaluation.record import Evaluation, ratio_and_se

HOSTILE = "<img src=x onerror=alert(1)>"


def raced(url: str) -> None:
    """Three rows, searched and then raced over two rounds, which turn the first two about."""
    with closing(Store(url)) as store:
        spec = {"settle": {"within": 0.01, "until": "answer", "seeds": 8, "contenders": 3}}
        sweep = store.create_sweep(name="raced", spec_text="", spec=spec, code_version="1", folder="")
        store.take_lease(sweep.id, "me", 3600)
        writer = store.writer(sweep.id, "me")
        for name, nelbo in ((1, 5.0), (2, 5.1), (3, 5.4)):
            add(writer, name, nelbo, nelbo + 0.2, seed=0)
        for round, noise in ((1, 0.0), (2, 0.002)):
            for name, valid in ((1, 5.11 + noise), (2, 5.108), (3, 5.5 - noise)):
                trial = add(writer, name, valid, valid + 0.1, seed=round, role="race")
                nats = [valid * count for count in TOKENS]
                scored = Evaluation(
                    "valid", 9, *ratio_and_se(nats, TOKENS), {}, {"round": round}, nats, TOKENS
                )
                writer.add_scores(trial, round, [scored])
        store.release_lease(sweep.id, "me")


def board(url: str, name: str) -> tuple[Board, object]:
    with closing(Reader(url)) as reader:
        found = leaderboard(reader, name)
        return found, frame.from_board(found, found.searched)


def headings(app: AppTest) -> list[str]:
    return [each.value for each in app.subheader]


# --- which numbers decide -------------------------------------------------------------------------
def test_before_fresh_seeds_the_search_decides_and_the_first_stands_in_front(url: str) -> None:
    fill(url)
    found, rows = board(url, "schedules")
    (group,) = deciding(found, rows)
    assert group.of == "the search's own runs"
    assert group.rows["why"].iloc[0] == "best"
    assert group.rows["difference"].iloc[0] == 0
    ranked = [row for row in found.rows if row.rank is not None]
    assert group.rows["configuration"].tolist() == [row.configuration for row in ranked]
    assert best_of(found).ppl == ranked[0].val_ppl


def test_a_race_alone_decides_once_it_has_two_rounds(url: str) -> None:
    """The search's first is not the race's."""
    raced(url)
    found, rows = board(url, "raced")
    (group,) = deciding(found, rows)
    by_id = {row.configuration: row for row in found.rows}
    first = by_id[group.rows["configuration"].iloc[0]]
    assert first.values["lr"] == 2
    assert first.confirmed_why == "best"
    assert group.within == 0.01
    assert best_of(found).ppl == first.confirmed_ppl
    assert group.rows["ppl"].tolist() == [by_id[c].confirmed_ppl for c in group.rows["configuration"]]


def test_an_empty_board_has_no_group(url: str) -> None:
    with closing(Store(url)) as store:
        store.create_sweep(name="new", spec_text="", spec={}, code_version="0", folder="files")
    found, rows = board(url, "new")
    assert deciding(found, rows) == []
    assert best_of(found) is None


# --- the answer -----------------------------------------------------------------------------------
def test_the_answer_is_what_is_seen_first_with_its_sentence_and_what_runs(url: str) -> None:
    fill(url)
    app = opened("answer.py")
    assert app.header[0].value == "Answer"
    with closing(Reader(url)) as reader:
        found = leaderboard(reader, "schedules")
    for answer in found.answers:
        assert answer.text in words(app)
    running = next(each.value for each in app.dataframe if "part" in each.value)
    assert running["what"].tolist() == ["trial 11"]
    assert running["step"].tolist() == [1630]
    assert "10 of 12 trials ended" in str(app.get("progress")[0].proto.text)
    assert "Values" in headings(app)
    assert "Against simpler models, on the same tokens" not in headings(app)  # none is stored


@pytest.mark.long
def test_an_ended_sweep_shows_no_progress_and_a_race_its_own_numbers(url: str) -> None:
    raced(url)
    with closing(Store(url)) as store:
        store.take_lease(1, "me", 60)
        store.writer(1, "me").set_sweep_state("complete")
        store.release_lease(1, "me")
    app = opened("answer.py")
    assert not app.get("progress")
    assert "Search beside fresh seeds beside test" in headings(app)
    beside = next(each.value for each in app.dataframe if "fresh" in each.value)
    assert beside["fresh seeds"].tolist() == [2, 2, 2]
    assert (beside["fresh"] > beside["search"]).any()
    app.toggle(key="absolute").set_value(True).run()
    assert not app.exception


@pytest.mark.long
def test_alarms_stand_above_all(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeper.results.leaderboard.alarms", lambda entries: ["ALARM: trial 1"])
    fill(url)
    assert [each.value for each in opened("answer.py").error] == ["ALARM: trial 1"]


def test_floors_that_are_stored_are_lines() -> None:
    found = floors_of({"unigram_nelbo": 6.0, "source_nelbo": 5.0, "val_nelbo": 5.5})
    assert list(found) == ["unigram", "the source's own entropy"]
    figure = floors(found, [(HOSTILE, 200.0, 190.0, 210.0)])
    assert [round(shape.x0) for shape in figure.layout.shapes] == [403, 148]
    assert "<img" not in figure.data[0].customdata[0]


# --- sweeps ---------------------------------------------------------------------------------------
def test_every_sweep_of_every_store_is_in_the_list(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = f"sqlite:///{tmp_path}/others.db"
    fill(url)
    raced(other)
    monkeypatch.setenv("SWEEPER_DB", f"{url}\n{other}")
    app = opened("sweeps.py")
    table = app.dataframe[0].value.set_index("sweep")
    assert set(table.index) == {"schedules", "raced"}
    assert table.loc["schedules", "state"] == ["running"]
    assert table.loc["schedules", "driver"] == HOLDER
    assert table.loc["schedules", "progress"].startswith("10 of 12")
    assert "trial 11: step 1,630 of 1,700" in table.loc["schedules", "runs"]
    for name, address in (("schedules", url), ("raced", other)):
        found, _ = board(address, name)
        assert table.loc[name, "best"] == pytest.approx(best_of(found).ppl)


def test_of_a_sweep_that_runs_what_has_changed_is_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the list as by its own pages, once for both."""
    fill(url)
    monkeypatch.setattr("dashboard.overview.leaderboard", lambda *_: pytest.fail("all was read"))
    monkeypatch.setattr(Reader, "trials", lambda *_: pytest.fail("all was read"))
    first = opened("sweeps.py").dataframe[0].value.iloc[0]
    assert first["state"] == ["running"]
    assert first["best"] > 0
    assert first["progress"].startswith("10 of 12")


def test_a_driver_that_is_gone_is_said(url: str) -> None:
    raced(url)
    table = opened("sweeps.py").dataframe[0].value
    assert table["state"].tolist() == [["cut off"]]
    assert table["driver"].tolist() == ["nobody"]


# --- stages ---------------------------------------------------------------------------------------
def test_stages_say_who_branches_from_each(url: str) -> None:
    fill(url)
    app = opened("stages.py")
    table = app.dataframe[0].value
    assert table["stage"].tolist() == [f"{seed:016x}" for seed in range(3)]
    assert table["trials"].tolist() == [10, 1, 1]
    assert table["differs"].tolist() == ["seed 0", "seed 1", "seed 2"]
    assert "3 pretrains, 1 of them shared" in words(app)


@pytest.mark.long
def test_other_sweeps_that_use_a_pretrain_are_named(url: str) -> None:
    fill(url)
    fill(url, "later")
    app = opened("stages.py")
    here = app.selectbox(key="sweep").value
    (other,) = {"schedules", "later"} - {here}
    assert f"{other} (10)" in app.dataframe[0].value["others"].tolist()


def test_a_tree_has_a_node_for_each_run_up_to_a_number() -> None:
    runs = [Branch(f"trial {i} {HOSTILE}", "complete", HOSTILE) for i in range(MOST_BRANCHES + 5)]
    figure = tree([Trunk("seed 0", "complete", "h", runs), Trunk("seed 1", "running", "h", runs[:2])])
    texts = [text for trace in figure.data if trace.text is not None for text in trace.text]
    assert len(texts) == 2 + MOST_BRANCHES + 1 + 2
    assert " and 5 more " in texts
    assert not any("<img" in text for text in texts)
    assert tree([]).layout.annotations


# --- the report -----------------------------------------------------------------------------------
def test_a_sweep_without_printed_numbers_says_so(url: str) -> None:
    fill(url)
    said = words(opened("report.py"))
    assert "nothing was printed that it could be held against" in said or "cannot be made" in said


def test_the_report_has_the_words_of_the_command(url: str) -> None:
    found = reports.made(url)
    app = opened("report.py")
    numbers = app.dataframe[0].value
    assert numbers["row"].tolist() == [row.name for row in found.rows]
    for place, name in enumerate(found.reference.columns):
        shown = [word[0] if len(word) else "" for word in numbers[f"word {place}"]]
        assert shown == [row.cells[name].word for row in found.rows]
    assert [word for (word,) in app.dataframe[1].value["word"]] == [each.word for each in found.findings]
    for sentence in found.explained():
        assert sentence in words(app)


def test_a_number_stands_at_its_share_of_the_printed_one() -> None:
    rows = [Compared("a", 1.02, 0.98, 1.06, REPRODUCED), Compared(HOSTILE, 1.5, 1.4, 1.6, DIFFERS)]
    first, second = against_printed(rows).data
    assert (list(first.x), list(second.x)) == ([1.02], [1.5])
    assert first.marker.symbol != second.marker.symbol
    assert "<img" not in second.customdata[0]


# --- the cluster ----------------------------------------------------------------------------------
def test_the_cluster_has_nodes_workers_and_failures(url: str) -> None:
    fill(url)
    with closing(Store(url)) as store:
        writer = store.writer(1, HOLDER)
        writer.add_usage("localhost:4102", 11, Usage(0.9, 2**30, None, None))
        writer.add_usage("other:7", None, Usage(0.5, 2**29, 0.25, 2**31))
        writer.add_event("lost", "trial 3 lost its worker")
    app = opened("cluster.py")
    nodes, workers, table = (each.value for each in app.dataframe)
    assert nodes["node"].tolist() == ["localhost", "other"]
    assert nodes["failed"].tolist() == [1, 0]
    by_worker = workers.set_index("worker")
    assert by_worker.loc["localhost:4102", "runs"] == "trial 11"
    assert by_worker.loc["localhost:4102", "memory"] == 1
    assert by_worker.loc["other:7", ["runs", "gpu", "gpu memory"]].tolist() == ["a pretrain", 25, 2]
    assert dict(zip(table["class"], table["trials ended so"], strict=True)) == {
        "not finite": 1,
        "worker died": 0,
    }


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("out of memory: CUDA", "out of memory"),
        ("the loss is nan at step 3", "not finite"),
        ("val_nelbo is inf at step 3", "not finite"),
        ("its pretrain, stage 12, failed: x", "pretrain failed"),
        ("Traceback (most recent call last):\n  File\nValueError: no", "ValueError"),
        ("its worker died 3 times", "worker died"),
        ("something else", "other"),
        ("", "no reason given"),
    ],
)
def test_a_failure_has_a_class(error: str, kind: str) -> None:
    assert kind_of(error) == kind


def test_failures_count_trials_and_what_was_tried_again(url: str) -> None:
    fill(url)
    with closing(Reader(url)) as reader:
        found = failures(reader.trials(1), {"memory": 4, "start": 9})
    assert [(each.kind, each.ended, each.tried_again) for each in found] == [
        ("out of memory", 0, 4),
        ("not finite", 1, 0),
    ]
    assert (
        len(by_class(*([getattr(f, n) for f in found] for n in ("kind", "ended", "tried_again"))).data) == 2
    )


def test_no_line_is_drawn_over_minutes_without_a_sample() -> None:
    (line,) = over_time([Series("a:1", [0, 60, 60 + 2 * GAP], [1.0, 1.0, 1.0])], "cores").data
    assert [value == value for value in line.y] == [True, True, False, True]
    assert over_time([], "cores").layout.annotations


# --- operations -----------------------------------------------------------------------------------
def test_operations_are_of_a_run_as_far_as_it_came(url: str, tmp_path: Path) -> None:
    fill(url)
    sizes = """json_set("values", '$."finetune.batch_size"', 16, '$."pretrain.batch_size"', 4)"""
    with closing(sqlite3.connect(tmp_path / "sweeps.db")) as connection:
        connection.execute(f'UPDATE configurations SET "values" = {sizes}')
        connection.commit()

    def page() -> None:
        import streamlit as st

        from dashboard import compute, data

        data.choose(data.sweeps()[0][0])
        now = data.chosen()
        flops = compute.Flops(now)
        rows = now.frame[["configuration", "step", "state"]]
        st.dataframe(rows.assign(flops=[flops.get(each, float("nan")) for each in rows["configuration"]]))

    rows = AppTest.from_function(page, default_timeout=60).run().dataframe[0].value.set_index("state")
    with closing(Reader(url)) as reader:
        values = reader.configurations(1)
    for configuration, step, flops in rows.loc["complete"].itertuples(index=False):
        assert step == STEPS
        assert flops == pytest.approx(flops_of_run(values[configuration]))
    assert 0 < rows.loc["running", "flops"] < rows.loc["complete", "flops"].max()
    assert math.isnan(rows.loc["queued", "flops"])
    assert compute.shown(1.84e12) == "1.8e12"
    assert compute.shown(math.nan) == "–"
