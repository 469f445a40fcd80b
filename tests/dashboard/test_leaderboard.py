"""The leaderboard as it is used: columns, filters, order, rows selected, one pinned; all kept."""

from contextlib import closing

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import words
from dashboard.columns import Columns, text
from dashboard.snapshot import Snapshot
from sweeper.results.compare import compare
from sweeper.results.leaderboard import leaderboard
from sweeper.store.notes import note, tag
from sweeper.store.queries import Reader
from tests.dashboard import test_state
from tests.dashboard.test_views import words as said
from tests.sweeper.filled import fill

TABLE = "table-1--0"


def opened(**address: str) -> AppTest:
    return test_state.opened("leaderboard", **address)


def numbers(app: AppTest) -> list[int]:
    """Configurations in the table, from the top."""
    return app.session_state[f"{TABLE}-drawn"].order


def places(app: AppTest) -> list[int]:
    return list(app.session_state[TABLE]["selection"]["rows"])


def click(app: AppTest, rows: list[int]) -> AppTest:
    """As the browser sends it: places in the order that it shows."""
    app.session_state[TABLE] = {"selection": {"rows": rows}}
    return app.run()


@pytest.fixture
def filled(url: str) -> str:
    fill(url)
    return url


def test_filters_that_leave_nothing_say_so(filled: str) -> None:
    app = opened(where="val_ppl < 0")
    assert "The filters leave no configuration." in said(app)
    assert not app.get("plotly_chart")


def test_text_is_looked_for_in_the_searched_values(filled: str) -> None:
    """Also in those that a label leaves out, for the baseline has them."""
    app = opened(columns="finetune.schedule.name,label", text="LOGLINEAR")
    names = app.dataframe[0].value["finetune.schedule.name"]
    assert len(names)
    assert set(names) == {"loglinear"}


def test_what_is_filtered_sorted_and_shown_stands_in_the_address(filled: str) -> None:
    app = opened()
    everything = numbers(app)
    app.text_input(key="where").set_value("block_size <= 8 and val_ppl < 300").run()
    table = app.dataframe[0].value
    assert 0 < len(table) < len(everything)
    assert (table["finetune.block_size"] <= 8).all()
    app.selectbox(key="sort").set_value("val_ppl").run()
    app.toggle(key="descending").set_value(True).run()
    assert f"{len(table)} of {len(everything)} configurations" in said(app)
    descending = numbers(app)
    again = opened(where="block_size <= 8 and val_ppl < 300", sort="val_ppl", descending="true")
    assert numbers(again) == descending
    again.switch_page("views/curves.py").run()
    again.switch_page("views/leaderboard.py").run()
    assert numbers(again) == descending


def test_a_wrong_filter_is_a_sentence_and_keeps_everything(filled: str) -> None:
    app = opened()
    everything = numbers(app)
    app.text_input(key="where").set_value("block_size <").run()
    assert "cannot be read" in said(app)
    assert numbers(app) == everything


def test_text_states_and_ranges_filter(filled: str) -> None:
    app = opened(text="COSINE")
    assert all("cosine" in name for name in app.dataframe[0].value["finetune.schedule.name"])
    app = opened(states="pruned")
    assert {state for (state,) in app.dataframe[0].value["state"]} == {"pruned"}
    app = opened()
    app.multiselect(key="ranges").set_value(["finetune.block_size", "finetune.schedule.name"]).run()
    app.number_input(key="least-finetune.block_size").set_value(8.0).run()
    app.number_input(key="most-finetune.block_size").set_value(8.0).run()
    assert set(app.dataframe[0].value["finetune.block_size"]) == {8}
    app.multiselect(key="is-finetune.schedule.name").set_value(["cosine"]).run()
    assert set(app.dataframe[0].value["finetune.schedule.name"]) == {"cosine"}


def test_columns_are_chosen_and_named_as_fields(filled: str) -> None:
    app = opened()
    usual = list(app.dataframe[0].value)
    assert usual[:3] == ["rank", "state", "standing"]
    assert "finetune.block_size" in usual[:8]  # in view on a narrow screen
    assert {"above", "above_margin"} <= set(usual)
    app.multiselect(key="columns").set_value(["rank", "var_nelbo", "optimizer.ema"]).run()
    assert list(app.dataframe[0].value) == ["rank", "var_nelbo", "optimizer.ema"]
    assert app.dataframe[0].value["optimizer.ema"].tolist()[0] == 0.99
    app.switch_page("views/curves.py").run()
    app.switch_page("views/leaderboard.py").run()
    assert list(app.dataframe[0].value) == ["rank", "var_nelbo", "optimizer.ema"]
    assert list(opened(columns="rank,seeds,nosuch").dataframe[0].value) == ["rank", "seeds"]


def test_rows_stay_selected_wherever_they_move(filled: str) -> None:
    app = opened()
    first, second = numbers(app)[1], numbers(app)[3]
    click(app, [1, 3])
    assert app.session_state["kept-rows"] == (str(first), str(second))
    app.toggle(key="descending").set_value(True).run()
    assert sorted(numbers(app)[place] for place in places(app)) == sorted([first, second])
    app.text_input(key="where").set_value(f"configuration != {first}").run()
    assert [numbers(app)[place] for place in places(app)] == [second]
    assert "2 selected, 1 of them not in this table" in said(app)
    app.text_input(key="where").set_value("").run()
    assert sorted(numbers(app)[place] for place in places(app)) == sorted([first, second])
    click(app, [numbers(app).index(second)])
    assert app.session_state["kept-rows"] == (str(second),)
    assert f"Configuration {second}" in [each.value for each in app.subheader]
    _button(app, "Select none").click().run()
    assert places(app) == []
    assert "rows" not in app.query_params


def test_a_selection_goes_to_the_page_that_compares_and_comes_back(filled: str) -> None:
    app = opened()
    click(app, [0, 1, 4])
    chosen = app.session_state["kept-rows"]
    app.switch_page("views/compare.py").run()
    assert app.header[0].value == "Compare"
    assert app.multiselect(key="compared").value == [int(each) for each in chosen]
    app.switch_page("views/leaderboard.py").run()
    assert sorted(str(numbers(app)[place]) for place in places(app)) == sorted(chosen)


def test_differences_to_the_pinned_are_those_of_compare(filled: str) -> None:
    app = opened(pinned="1")
    table = app.dataframe[0].value
    with closing(Reader(filled)) as reader:
        sweep = reader.sweep("schedules")
        assert sweep is not None
        trials = {row.configuration: row.trials[0] for row in leaderboard(reader, "schedules").rows}
        found = compare(reader, sweep, trials[3], trials[1])
    row = table[table["configuration"] == 3].iloc[0]
    assert row["against_pinned"] == pytest.approx(found.difference)
    assert row["against_pinned_margin"] == pytest.approx((found.picked_high - found.picked_low) / 2)
    assert pd.isna(table[table["configuration"] == 1]["against_pinned"].iloc[0])
    _button(app, "Unpin no. 1").click().run()
    assert "against_pinned" not in app.dataframe[0].value


def test_what_people_said_is_shown_and_filtered_by(filled: str) -> None:
    assert "tags" not in opened().dataframe[0].value
    with closing(Reader(filled)) as reader:
        trial = next(each for each in reader.trials(1) if each.configuration == 3)
    tag(filled, 1, ["good", "again"], trial.id)
    tag(filled, 1, ["again"], trial.id, remove=True)
    note(filled, 1, "=look at its curve", trial.id)
    app = opened(where="'GOOD' in tags")
    assert numbers(app) == [3]
    assert app.dataframe[0].value["tags"].tolist() == ["good"]
    app = opened(text="its curve", columns="configuration,notes")
    assert numbers(app) == [3]
    assert app.dataframe[0].value["notes"].tolist() == ["'=look at its curve"]


@pytest.mark.parametrize(
    ("cell", "printed"),
    [
        ("=cmd()", "'=cmd()"),
        ("@SUM(1)", "'@SUM(1)"),
        ("+1+1", "'+1+1"),
        ("-2.5", "-2.5"),
        (-2.5, "-2.5"),
        (None, ""),
        (float("nan"), ""),
        ([3, 4], "3, 4"),
        ("plain", "plain"),
    ],
)
def test_no_cell_is_a_formula(cell: object, printed: str) -> None:
    assert text(cell) == printed


def test_a_table_and_its_figures_call_a_standing_by_one_name(filled: str) -> None:
    app = opened()
    standings = {standing for (standing,) in app.dataframe[0].value["standing"]}
    assert standings <= set(words.STANDING_COLOURS)
    assert "first" in standings


def _button(app: AppTest, label: str):
    return next(each for each in app.button if each.label == label)


def test_every_name_that_is_offered_has_cells(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboard import data

    found: list[Snapshot] = []
    chosen = data.chosen
    monkeypatch.setattr(data, "chosen", lambda: found.append(chosen()) or found[-1])
    opened()
    columns = Columns(found[-1], {})
    rows = found[-1].frame
    view, settings = columns.table(columns.names, rows)
    assert list(view) == list(settings) == columns.names
    assert len(view) == len(rows)
    assert {"var_nelbo", "optimizer.ema", "p_best", "rank"} <= set(columns.names)
