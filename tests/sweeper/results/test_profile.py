"""`profile`: one parameter, value by value, and what the objective would have chosen."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.results.profile import NoProfile, profile
from sweeper.store.queries import Reader
from tests.sweeper.filled import fill


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/s.db"
    fill(url, finished=True)
    return url


def test_the_values_stand_in_order_with_their_intervals(url: str) -> None:
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("schedules")
        assert sweep is not None
        found = profile(reader, sweep, "finetune.block_size")
        with pytest.raises(NoProfile, match=r"no two configurations of schedules .* differ in data.length"):
            profile(reader, sweep, "data.length")
        with pytest.raises(NoProfile):
            profile(reader, sweep, "finetune.reweighting.k")  # one alone has it
    assert [point.value for point in found.points] == sorted(point.value for point in found.points)
    assert found.best.difference == 0
    assert all(p.low <= p.val_ppl <= p.high for p in found.points if p.low is not None and p.high is not None)
    chosen = found.by_objective
    assert chosen is not None
    assert chosen.objective == min(p.objective for p in found.points if p.objective is not None)
    assert "Best by val_ppl: block_size = " in found.words()[0]
    assert "A search on the objective would have chosen" in found.words()[1]


def test_the_command(url: str) -> None:
    runner = CliRunner()
    shown = runner.invoke(app, ["profile", "schedules", "finetune.block_size", "--db", url])
    assert shown.exit_code == 0
    assert "exp(objective)" in shown.stdout
    told = runner.invoke(app, ["profile", "schedules", "finetune.block_size", "--db", url, "--json"])
    document = json.loads(told.stdout)
    assert document["parameter"] == "finetune.block_size"
    assert len(document["points"]) > 2
    assert runner.invoke(app, ["profile", "schedules", "data.length", "--db", url]).exit_code == 5
