"""`claims`: each is a sound sweep that says what was published; what came of it is one of three words."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.planning.plan import plan
from sweeper.results.measured import FAILS, HOLDS, UNKNOWN
from sweeper.shipped import claims
from sweeper.spec.load import load_spec
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.sweeper.results.test_report import TEXT, fill

STEPS = 60_000  # of nano, in 20 CPU-minutes: 20 ms a step


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


@pytest.mark.parametrize("name", claims())
def test_a_claim_is_a_sound_sweep_with_a_source_and_a_sentence(name: str) -> None:
    spec = load_spec(claims()[name])
    assert spec.name == name
    assert spec.reference is not None
    assert spec.reference.source
    assert spec.reference.sentences
    assert len({repr(entry) for entry in spec.always}) == len(spec.always)
    named = {row for claim in spec.reference.sentences for pair in claim.less for row in pair}
    assert named == {row["row"] for row in spec.reference.rows}, "each is compared with something"
    assert plan(spec).steps < STEPS, "at most 20 CPU-minutes, pretrains included"


def test_what_came_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeper.shipped.CLAIMS", tmp_path)
    for name in ("table", "other"):
        (tmp_path / f"{name}.yaml").write_text(TEXT.replace("name: table", f"name: {name}"))
    url = f"sqlite:///{tmp_path}/claims.db"
    fill(url, load_spec(tmp_path / "table.yaml"), [5.48, 5.19, 5.20], [1.0, 1.0, 0.78], [10.0, 40.0, 30.0])
    code, said = call("claims", "--no-run", "--db", url)
    assert said.strip().splitlines()[-1] == "not run to its end: other, table", "a look too early"
    with closing(Store(url)) as store:
        store.writer(1, "me").set_sweep_state("complete", "")

    code, said = call("claims", "--no-run", "--db", url)
    assert code == 0, said
    assert "not run to its end: other" in said
    assert [word for word in (HOLDS, FAILS) if word in said] == [HOLDS, FAILS]

    code, said = call("claims", "table", "--no-run", "--db", url, "--json")
    (found,) = json.loads(said)["claims"]
    for claim, word in zip(found["claims"], (HOLDS, FAILS), strict=True):
        (part,) = claim["parts"]
        assert part["word"] == claim["word"] == word
        assert 0 <= part["half"] <= part["sees"]

    code, said = call("claims", "table", "--no-run", "--db", url, "--markdown")
    assert "### table\n" in said
    assert "'smaller blocks help': **holds**, by test_nelbo." in said
    assert "times" not in said, "of a ratio the number alone"


@pytest.mark.long
def test_one_that_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real trainer under a real Ray; the same line again runs nothing."""
    monkeypatch.setattr("sweeper.shipped.CLAIMS", tmp_path)
    tiny = claims()  # of the patched folder: none yet
    assert tiny == {}
    text = TEXT.replace(
        "trainer: {",
        "trainer: {model.size: nano, pretrain.steps: 4, finetune.steps: 4, evaluation.every: 2, ",
    )
    text = text.replace("always_seeds: 3", "always_seeds: 2")
    (tmp_path / "table.yaml").write_text(
        text.replace("less: [[small, large]]", "less: [[small, large]]\n      by: steps", 1)
    )
    url = f"sqlite:///{tmp_path}/claims.db"
    for _ in range(2):
        code, said = call("claims", "--db", url, "--json")
        assert code == 0, said
    with closing(Reader(url)) as reader:
        (sweep,) = reader.sweeps()
        assert sweep.state == "complete"
        assert len(reader.drivers(sweep.id)) == 1
    (found,) = json.loads(said[said.index("{") :])["claims"]
    assert {each["word"] for each in found["claims"]} <= {HOLDS, FAILS, UNKNOWN}
    assert all(part["half"] is not None for each in found["claims"] for part in each["parts"])


def test_one_that_is_not_there(tmp_path: Path) -> None:
    code, said = call("claims", "smaller-blokcs", "--db", f"sqlite:///{tmp_path}/claims.db")
    assert code == 2
    assert "there is no claim smaller-blokcs" in said
