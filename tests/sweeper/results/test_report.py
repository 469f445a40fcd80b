"""A sweep held against what was printed: the words of cells and claims, and what the report shows."""

import json
import math
import os
from collections.abc import Callable
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.driver.trials import steps
from sweeper.results import measured
from sweeper.results import report as reports
from sweeper.results.measured import Difference
from sweeper.results.report import DIFFERS, NO_PPL, NOT_RUN, REPRODUCED, UNTOLD, verdict
from sweeper.spec.load import load_spec, read_spec
from sweeper.spec.spec import SweepSpec
from sweeper.spec.yaml_source import InvalidSpec
from sweeper.store.queries import Reader
from sweeper.store.records import MetricRow
from sweeper.store.store import Store
from sweeper.terminal.report_text import markdown
from tests.sweeper.filled import evaluation
from trainer.config.train_config import content_hash
from trainer.evaluation.record import Evaluation

ROOT = Path(__file__).parents[3]
SHARED = Path(os.environ.get("SHARED", ROOT.parent / "shared"))

TEXT = """
name: table
trainer: {data: {name: pydocs, length: 64}}
always:
  - {finetune.block_size: 16}
  - {finetune.block_size: 4}
  - {finetune.block_size: 4, finetune.reweighting.name: iddpm}
always_seeds: 3
search: {trials: 0}
reference:
  title: Table 99. Of blocks
  columns: {ppl: test_ppl, objective: objective_ppl, var: var_nelbo}
  rows:
    - {row: large, ppl: 240.0, var: 10}
    - {row: small, ppl: 180.0, var: 40}
    - {row: small and weighted, objective: 60.0, bound: false, c: 0.7854}
  sentences:
    - says: smaller blocks help
      less: [[small, large]]
    - {says: smaller blocks have less variance, by: var_nelbo, less: [[small, large]]}
  notes: [A <note> | with signs.]
"""
RATIO = "  compare: ratio\n"


def spec(*overrides: str, text: str = TEXT) -> SweepSpec:
    return read_spec(text, "table.yaml", "table", overrides)


# --- words --------------------------------------------------------------------------------------
logs = st.floats(-3, 3)
halves = st.floats(1e-6, 2)


@given(distance=logs, half=halves, noise=st.floats(0, 1))
def test_every_cell_has_one_word_and_symmetric(distance: float, half: float, noise: float) -> None:
    word = verdict(distance, half, noise)
    assert word in (REPRODUCED, DIFFERS, UNTOLD)
    assert verdict(-distance, half, noise) == word
    reach = math.hypot(half, 1.959964 * noise)
    if abs(distance) + reach <= math.log(1.1) - 1e-6:
        assert word == REPRODUCED
    elif abs(distance) > reach + 1e-6:
        assert word == DIFFERS
    elif abs(distance) < reach - 1e-6 and abs(distance) + reach > math.log(1.1) + 1e-6:
        assert word == UNTOLD


@given(distance=logs, half=halves)
def test_a_wider_interval_says_less(distance: float, half: float) -> None:
    if verdict(distance, half) == UNTOLD:
        assert verdict(distance, 2 * half) == UNTOLD
    if verdict(distance, half) == REPRODUCED:
        assert verdict(distance, half / 2) == REPRODUCED
    assert verdict(distance, math.inf) == UNTOLD


@pytest.mark.parametrize("spread", [0.01, 0.1])
def test_the_words_are_right_as_often_as_they_say(spread: float) -> None:
    """Equal values differ, and values 12% apart are reproduced, in no more than 5% of tables."""
    random = np.random.default_rng(0)
    wrongly_differs = wrongly_reproduced = 0
    for _ in range(2000):
        logs = random.normal(math.log(200.0), spread, size=3)
        ours = measured._mean(logs.tolist())
        wrongly_differs += verdict(ours.log - math.log(200.0), ours.half) == DIFFERS
        wrongly_reproduced += verdict(ours.log - math.log(200.0 * 1.12), ours.half) == REPRODUCED
    assert wrongly_differs <= 130
    assert wrongly_differs >= 30 or spread < 0.1, "the interval has its 95%"
    assert wrongly_reproduced <= 100


@pytest.mark.parametrize(
    ("ours", "half", "word"),
    [(1.01, 0.03, "within 5%"), (1.01, 0.05, UNTOLD), (1.2, 0.05, "not within 5%"), (1.0, math.inf, UNTOLD)],
)
def test_the_objective_over_the_bound_has_its_word(ours: float, half: float, word: str) -> None:
    for c in (1.0, 0.5):
        assert reports.Weight(ours * c, half * c, c).word == word


@given(ratio=logs, half=halves)
def test_a_claim_is_the_opposite_of_its_opposite(ratio: float, half: float) -> None:
    there, back = Difference("a", "b", ratio, half).word, Difference("b", "a", -ratio, half).word
    holds, fails, unknown = measured.HOLDS, measured.FAILS, measured.UNKNOWN
    opposite = {holds: fails, fails: holds, unknown: unknown}
    assert back == opposite[there]
    assert (there == unknown) == (abs(ratio) <= half)


@pytest.mark.parametrize("standard_error", [0.004, 0.1])
def test_what_would_have_been_seen_is_seen_four_times_in_five(standard_error: float) -> None:
    half = 1.959964 * standard_error
    true = Difference("a", "b", 0.0, half).sees
    drawn = np.random.default_rng(1).normal(-true, standard_error, 20_000)
    held = np.mean([Difference("a", "b", float(each), half).word == measured.HOLDS for each in drawn])
    assert abs(held - 0.8) < 0.012  # four standard errors


def test_two_sides_that_are_one_would_have_shown_nothing() -> None:
    same = Difference("best", "last", 0.0, 0.0)
    assert (same.word, same.sees, same.to_json()["sees"]) == (measured.UNKNOWN, math.inf, None)


# --- a sweep ------------------------------------------------------------------------------------
def fill(
    url: str,
    made: SweepSpec,
    nelbos: list[float],
    objectives: list[float],
    variances: list[float],
    seeds: int = 3,
    looks: Callable[[Evaluation], list[Evaluation]] = lambda test: [test],
) -> None:
    """Complete runs of `always`, with documents and seeds as in tests/sweeper/filled.py.

    looks: what is stored of a look at test.
    """
    with closing(Store(url)) as store:
        sweep = store.create_sweep(
            name=made.name, spec_text="", spec=made.resolved(), code_version="1", folder="f"
        )
        store.take_lease(sweep.id, "me", 60)
        writer = store.writer(sweep.id, "me")
        for place, entry in enumerate(made.always):
            for seed in range(seeds):
                config = made.train_config(entry, seed)
                values = {key: v for key, v in config.to_dotted().items() if key != "seed"}
                trial = writer.add_trial(
                    configuration=writer.add_configuration(content_hash(config.content()), values),
                    role="baseline",
                    seed=seed,
                    steps=steps(config),
                    params=dict(entry),
                    distributions={},
                    system_attrs={},
                )
                attempt = writer.start_trial(trial.id)
                test = evaluation("test", 200, nelbos[place], block_size=4, seed=seed, noise=str(place))
                last = {"test_nelbo": test.nelbo, "val_nelbo": nelbos[place]}
                last["objective"] = objectives[place] * (1 + 0.01 * seed) * last["val_nelbo"]
                last["var_nelbo"] = variances[place] * (1 + 0.01 * seed)
                rows = [MetricRow(name, 200, value) for name, value in last.items()]
                writer.add_rows(trial.id, attempt, rows, looks(test))
                writer.end_trial(trial.id, attempt, "complete", cpu_seconds=36.0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/s.db"


def made(url: str, *overrides: str, seeds: int = 3, text: str = TEXT) -> reports.Report:
    fill(url, spec(*overrides, text=text), [5.48, 5.19, 5.20], [1.0, 1.0, 0.78], [10.0, 40.0, 30.0], seeds)
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("table")
        assert sweep is not None
        return reports.report(reader, sweep)


def words(found: reports.Report) -> list[list[str]]:
    return [[cell.word for cell in row.cells.values()] for row in found.rows]


def test_the_report_of_a_sweep(url: str) -> None:
    found = made(url)
    large, small, weighted = found.rows
    for row, nelbo in ((large, 5.48), (small, 5.19)):
        cell = row.cells["ppl"]
        assert cell.ours is not None
        assert abs(math.log(cell.ours) - nelbo) < 0.15
        assert cell.low is not None
        assert cell.high is not None
        assert cell.low < cell.ours < cell.high
        assert cell.seeds == 3
    assert large.cells["var"].word == REPRODUCED
    assert weighted.cells["objective"].word == NO_PPL
    assert weighted.cells["ppl"].word == ""
    assert weighted.cells["ppl"].ours is not None, "the bound is shown whatever was trained with"
    assert weighted.weight is not None
    assert abs(weighted.weight.ours - 0.78 * 1.01) < 1e-9, "of the bound on the same split"
    assert abs(weighted.weight.half - 4.303 * 0.0078 / math.sqrt(3)) < 1e-4
    assert weighted.weight.word == "within 5%"
    assert [each.word for each in found.findings] == [measured.HOLDS, measured.FAILS]
    assert abs(found.findings[0].differences[0].log_ratio + 0.29) < 0.05
    assert abs(found.hours - 9 * 36 / 3600) < 1e-9


def test_one_seed_says_nothing(url: str) -> None:
    found = made(url, "always_seeds=1", seeds=1)
    assert words(found)[:2] == [[UNTOLD, "", UNTOLD]] * 2
    assert [each.word for each in found.findings] == [measured.UNKNOWN] * 2


def test_of_other_text_the_ratios_are_compared(url: str) -> None:
    """Both perplexities are ten times the printed ones, and so is nothing else."""
    text = TEXT.replace("ppl: 240.0", "ppl: 24.0").replace("ppl: 180.0", "ppl: 18.0")
    text = text.replace("title:", "compare: ratio\n  title:")
    found = made(url, text=text)
    assert found.rows[0].cells["ppl"].word == reports.BASE
    assert found.rows[1].cells["ppl"].word in (REPRODUCED, UNTOLD)
    assert found.rows[1].cells["var"].word == REPRODUCED
    assert found.rows[2].cells["objective"].word == NO_PPL


def test_rows_of_one_printed_draw_are_free_of_its_error(url: str) -> None:
    """Ours 40 over 10, printed 60 over 10: its error of 0.3 nats is no error of a ratio within one draw."""
    text = TEXT.replace("var: 40", "var: 60").replace(
        "title:", "compare: ratio\n  noise: {var: 0.3}\n  title:"
    )
    assert made(url, text=text).rows[1].cells["var"].word == UNTOLD
    text = text.replace("name: table", "name: drawn").replace("{row: small,", "{row: small, over: large,")
    text = text.replace("title:", "one_draw: [var]\n  title:")
    fill(url, spec(text=text), [5.48, 5.19, 5.20], [1.0, 1.0, 0.78], [10.0, 40.0, 30.0])
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("drawn")
        assert sweep is not None
        found = reports.report(reader, sweep)
    assert found.rows[1].cells["var"].word == DIFFERS
    assert "none between a row and its `over`" in markdown(found)


def test_another_quantity_is_shown_and_not_compared(url: str) -> None:
    text = TEXT.replace("{row: large,", "{row: large, same: false,").replace(
        "title:", "compare: ratio\n  title:"
    )
    large, small, _ = made(url, text=text).rows
    assert [cell.word for cell in large.cells.values()] == [reports.OTHER, "", reports.OTHER]
    assert large.cells["ppl"].ours is not None
    assert small.cells["ppl"].word == reports.BASE, "it cannot be the base of others"


def test_a_row_may_have_needed_no_draw(url: str) -> None:
    """40 over 10, printed 66 over 10: the two errors of 0.2 nats together leave it open, one does not."""
    text = TEXT.replace("var: 40", "var: 66").replace(
        "title:", "compare: ratio\n  noise: {var: 0.2}\n  title:"
    )
    assert made(url, text=text).rows[1].cells["var"].word == UNTOLD
    alone = text.replace("name: table", "name: alone").replace("{row: large,", "{row: large, drawn: false,")
    fill(url, spec(text=alone), [5.48, 5.19, 5.20], [1.0, 1.0, 0.78], [10.0, 40.0, 30.0])
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("alone")
        assert sweep is not None
        cell = reports.report(reader, sweep).rows[1].cells["var"]
    assert cell.word == DIFFERS
    assert cell.ratio is not None
    assert (cell.ratio.printed, round(cell.ratio.ours, 9)) == (6.6, 4.0)


def test_one_number_is_the_error_of_every_column(url: str) -> None:
    reference = spec(text=TEXT.replace("title:", "noise: 0.3\n  title:")).reference
    assert reference is not None
    assert reference.noise == {"ppl": 0.3, "objective": 0.3, "var": 0.3}


def test_of_the_same_text_ten_times_as_much_differs(url: str) -> None:
    found = made(url, text=TEXT.replace("ppl: 240.0", "ppl: 24.0"))
    assert found.rows[0].cells["ppl"].word == DIFFERS


def test_what_was_not_run_has_no_number(url: str) -> None:
    fill(url, spec(), [5.48, 5.19, 5.2], [1.0] * 3, [1.0] * 3, seeds=0)
    shown = CliRunner().invoke(app, ["report", "table", "--db", url])
    assert shown.exit_code == 0
    assert shown.stdout.count(NOT_RUN) == 4
    assert "with too few seeds" in shown.stdout


def test_markdown_html_and_json(url: str) -> None:
    made(url)
    runner = CliRunner()
    markdown = runner.invoke(app, ["report", "table", "--db", url]).stdout
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(lines) == 5
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert "'smaller blocks help': holds." in markdown
    assert "0.7878 ±0.0194 | 0.7854 | within 5%" in markdown
    page = runner.invoke(app, ["report", "table", "--db", url, "--html"]).stdout
    seen = Balanced()
    seen.feed(page)
    assert not seen.open
    assert "A &lt;note&gt; | with signs." in page
    document = json.loads(runner.invoke(app, ["report", "table", "--db", url, "--json"]).stdout)["report"]
    assert [row["row"] for row in document["rows"]] == ["large", "small", "small and weighted"]
    assert document["claims"][0]["word"] == "holds"


class Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_sweep_without_a_reference(url: str) -> None:
    fill(url, spec(text=TEXT.partition("reference:")[0]), [5.0] * 3, [1.0] * 3, [1.0] * 3, 1)
    told = CliRunner().invoke(app, ["report", "table", "--db", url])
    assert told.exit_code == 2
    assert "has no `reference`" in told.stderr


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("  - {finetune.block_size: 16}\n", "", "reference.rows: 3 rows, but `always` has 2 runs"),
        ("row: small and weighted", "row: small", "every row needs a name of its own"),
        ("[[small, large]]}", "[[small, huge]]}", "is about 'huge', and no row has that name"),
        ("row: small,", "row: small, over: huge,", "'small' is about 'huge', and no row has that name"),
        ("row: large, ppl: 240.0,", "row: large, over: small and weighted,", "which prints no var"),
        ("title:", "noise: {pp: 0.1}\n  title:", "there is no column 'pp'"),
        ("compare", "compare", ""),
    ],
)
def test_mistakes_are_said(old: str, new: str, sentence: str) -> None:
    text = TEXT.replace(old, new)
    if not sentence:
        assert spec(text=text).reference is not None
        return
    with pytest.raises(InvalidSpec) as found:
        spec(text=text)
    assert sentence in str(found.value)


# --- the tables ---------------------------------------------------------------------------------
def test_the_printed_numbers_are_the_reports() -> None:
    file = SHARED / "reference" / "report_tables.yaml"
    if not file.is_file():
        pytest.skip("the report's numbers are not on this machine")
    tables = YAML(typ="safe").load(file.read_text())
    for path in sorted((ROOT / "search_spaces" / "report").glob("*.yaml")):
        reference = load_spec(path).reference
        assert reference is not None
        ours = sorted(
            float(value)
            for row in reference.rows
            for key, value in row.items()
            if key in reference.columns and value is not None
        )
        theirs = tables[path.stem]
        names: tuple[str, ...] = ("ppl", "var_nelbo", "gen_ppl", "nfe", "median_tokens", "max_tokens")
        names += ("lm1b", "lambada", "wikitext", "base", "iddpm", "edm", "sigmoid", "fm", "simple")
        printed = [r for r in theirs["rows"] if r.get("model") != "train_set"]
        assert ours == sorted(float(r[name]) for r in printed for name in names if name in r), path.stem
