"""evaluation.test_last: the last step's bound on test, beside the best checkpoint's."""

from pathlib import Path

import pytest

from tests.trainer.tiny_runs import reports_of, returned, tiny_config, write_corpus
from trainer.checkpoints.trained import open_trained
from trainer.config.problems import InvalidConfig
from trainer.evaluation.bound import evaluate

HARMED = {"finetune__lr": 0.1, "optimizer__ema": 0.5}  # the best step is not the last


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.mark.parametrize("masks", [{}, {"evaluation__rank_error": 0.05}])
def test_the_rows_are_of_the_two_checkpoints(corpus: Path, tmp_path: Path, masks: dict[str, float]) -> None:
    config = tiny_config(corpus, pretrain__steps=0, evaluation__test_last=True, **HARMED, **masks)
    report = reports_of(config, tmp_path)[-1]
    looks = {each.split: each for each in report.evaluations if each.split != "valid"}
    assert looks.keys() == {"test", "last"}
    for split, name in (("test", "best"), ("last", "last")):
        model, trained_on, size, step = open_trained(config, tmp_path / f"{name}.safetensors", device="cpu")
        found = returned(
            evaluate(
                model,
                config.objective,
                size,
                "test",
                trained_on,
                config.evaluation,
                step,
                ranks=bool(masks),
            )
        )
        assert looks[split].step == step
        assert looks[split].nats_D == pytest.approx(found.nats_D, rel=1e-6)
        assert looks[split].identity == found.identity
    assert looks["test"].step < looks["last"].step == 30
    assert report.values["test_nelbo"] == looks["test"].nelbo
    assert report.values["test_nelbo/last"] == looks["last"].nelbo != looks["test"].nelbo


def test_where_the_last_step_is_the_best_they_are_one(corpus: Path, tmp_path: Path) -> None:
    config = tiny_config(corpus, pretrain__steps=0, finetune__steps=10, evaluation__test_last=True)
    values = reports_of(config, tmp_path)[-1].values
    assert values["test_nelbo/last"] == values["test_nelbo"]


def test_it_is_asked_for(corpus: Path) -> None:
    plain, asked = tiny_config(corpus), tiny_config(corpus, evaluation__test_last=True)
    assert "evaluation.test_last" not in plain.content()
    assert asked.content() == {**plain.content(), "evaluation.test_last": True}
    assert asked.stage_key() == plain.stage_key()
    with pytest.raises(InvalidConfig, match="test_last is beside the best"):
        tiny_config(corpus, evaluation__test_last=True, evaluation__test=False)
