"""importance: a planted parameter comes out on top, and what cannot be told is said."""

import json
import random
from pathlib import Path

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    distribution_to_json,
)
from typer.testing import CliRunner, Result

from sweeper.cli import main as cli
from sweeper.store.records import MetricRow
from sweeper.store.store import Store

STRONG, WEAK, KIND, MU = (
    "finetune.clip.low",
    "finetune.clip.high",
    "finetune.schedule.name",
    "finetune.schedule.mu",
)
SPACE: dict[str, BaseDistribution] = {
    STRONG: FloatDistribution(0, 1),
    WEAK: FloatDistribution(0, 1),
    KIND: CategoricalDistribution(["loglinear", "gaussian"]),
    MU: FloatDistribution(0.2, 0.8),
}


def planted(url: str, trials: int, gaussian: int) -> None:
    """val_ppl depends on STRONG alone. The first `gaussian` trials have MU as well; one has failed."""
    store, rng = Store(url), random.Random(0)
    spec = {"name": "s", "metric": "val_ppl", "space": {}, "always": [], "search": {"trials": trials}}
    sweep = store.create_sweep(name="s", spec_text="", spec=spec, code_version="1", folder="files")
    store.take_lease(sweep.id, "me", 60)
    writer = store.writer(sweep.id, "me")
    for number in range(trials + 1):
        params: dict[str, object] = {STRONG: rng.random(), WEAK: rng.random(), KIND: "loglinear"}
        if number < gaussian:
            params |= {KIND: "gaussian", MU: rng.uniform(0.2, 0.8)}
        trial = writer.add_trial(
            configuration=writer.add_configuration(f"{number:016x}", params),
            role="search",
            seed=0,
            steps=1,
            number=number,
            params=params,
            distributions={name: distribution_to_json(SPACE[name]) for name in params},
            system_attrs={},
        ).id
        attempt = writer.start_trial(trial)
        value = 200 + 50 * float(str(params[STRONG])) + rng.gauss(0, 1)
        writer.add_rows(trial, attempt, [MetricRow("val_ppl", 1, value)])
        writer.end_trial(trial, attempt, "failed" if number == trials else "complete")
    store.close()


def call(*words: str) -> Result:
    return CliRunner().invoke(cli.app, [*words])


def test_the_planted_parameter_comes_out_on_top(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    planted(url, trials=40, gaussian=3)
    found = json.loads(call("importance", "s", "--db", url, "--json").stdout)
    rows = {row["name"]: row for row in found["rows"]}
    assert found["trials"] == 40  # not the one that failed
    assert found["rows"][0]["name"] == STRONG
    assert rows[STRONG]["share"] > 2 * rows[WEAK]["share"]
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)
    assert rows[MU]["seen"] == 3

    text = call("importance", "s", "--db", url)
    assert text.stderr == ""  # none of Optuna's warnings
    assert "conditional: in 3 of 40 trials: too few to go by" in text.stdout
    assert "40 complete search trials, the best 5 against all" in text.stdout


def test_too_few_trials_are_a_sentence(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    planted(url, trials=9, gaussian=0)
    result = call("importance", "s", "--db", url)
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr == "s has 9 complete search trials with a val_ppl: importances need 10 at least\n"


def test_fanova_without_scikit_learn_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    planted(url, trials=12, gaussian=0)
    monkeypatch.setattr("sweeper.search.importance.find_spec", lambda name: None)
    result = call("importance", "s", "--db", url, "--evaluator", "fanova")
    assert (result.exit_code, result.stdout) == (5, "")
    assert "fANOVA needs the Python package scikit-learn" in result.stderr
    assert "[fanova]" in result.stderr


def test_fanova_leaves_conditional_parameters_out_and_says_so(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="fANOVA's extra is not installed")
    url = f"sqlite:///{tmp_path}/s.db"
    planted(url, trials=40, gaussian=20)
    result = call("importance", "s", "--db", url, "--evaluator", "fanova")
    assert result.stdout.splitlines()[1].startswith(STRONG)
    assert f"Left out, for not every trial has them: {MU}." in result.stdout
