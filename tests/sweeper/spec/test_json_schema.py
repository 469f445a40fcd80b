"""An editor knows a specification as the program does: what ships is valid, what is misspelt is not."""

import json
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from sweeper.shipped import EDITORS, SCHEMA, claims, shipped
from sweeper.spec.json_schema import json_schema
from sweeper.spec.load import load_spec
from trainer.config.names import train_names


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    schema = json_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def read(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


SHIPPED = {**shipped(), **claims()}


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_is_valid_and_says_where_its_schema_is(
    name: str, validator: jsonschema.Draft7Validator
) -> None:
    text = SHIPPED[name].read_text()
    validator.validate(read(text))
    first = text.splitlines()[0]
    assert first.startswith(EDITORS)
    assert (SHIPPED[name].parent / first.removeprefix(EDITORS)).resolve() == SCHEMA.resolve()


def test_the_schema_that_ships_is_made_of_the_fields(validator: jsonschema.Draft7Validator) -> None:
    """Renew it: python -m sweeper schema > search_spaces/sweep.schema.json"""
    assert json.loads(SCHEMA.read_text()) == validator.schema


WRONG = (
    "serch: {trials: 3}",
    "search: {trails: 3}",
    "search: {trials: -1}",
    "search: {sampler: tpee}",
    "trainer: {finetune.shedule.mu: 0.3}",
    "trainer: {finetune: {schedule: {mew: 0.3}}}",
    "trainer: {finetune.schedule.name: gausian}",
    "trainer: {finetune: {block_size: four}}",
    "space: {finetune.block_size: {choise: [4]}}",
    "space: {evaluation.every: {choice: [4]}}",
    "space: {finetune.lr: {uniform: [1]}}",
    "metric: val_pp",
    "settle: {within: 3%, until: sometime}",
    "early_stopping: {pruner: nosuch, min_steps: 3}",
    "always: [{finetune.blok_size: 4}]",
)
RIGHT = (
    "settle: {within: 3%}",
    "settle: {within: 0.03}",
    "metric: [val_ppl, seconds]",
    "trainer: {finetune.clip: auto}",
    "trainer: {finetune: {schedule.name: gaussian, schedule: {mu: 0.3}}}",
    "trainer.finetune.lr: 1.0e-3",
    "search: {trials: 3, warm_start: earlier}",
    "search: {trials: 3, warm_start: [earlier, still]}",
    "space: {finetune.lr: {log_uniform: [1.0e-4, 1.0e-2], when: {finetune.schedule.name: [cosine]}}}",
    "space: {finetune: {block_size: {int: [4, 16], step: 4, when: {objective.name: bd3lm}}}}",
    "early_stopping: {pruner: median, min_steps: 3}",
    "scale: small\nvariants: {scale: {small: {trainer.model.size: nano}}}",
)


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_marked(text: str, validator: jsonschema.Draft7Validator) -> None:
    assert list(validator.iter_errors(read(text)))


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_right_is_not(text: str, validator: jsonschema.Draft7Validator) -> None:
    assert not [each.message[:200] for each in validator.iter_errors(read(text))]


@pytest.mark.parametrize("name", sorted(train_names().leaves))
def test_every_setting_of_a_run_is_known_and_takes_its_default(
    name: str, validator: jsonschema.Draft7Validator
) -> None:
    schema = validator.schema["definitions"]["run"]["properties"]
    assert name in schema
    info = train_names().infos[name]
    if name not in train_names().kinds and not info.is_required():
        default = info.get_default(call_default_factory=True)
        if isinstance(default, tuple):
            default = list(default)
        if isinstance(default, bool | int | float | str | list | None):
            jsonschema.Draft7Validator(schema[name]).validate(default)


@pytest.mark.parametrize("name", [name for name in shipped() if "/" not in name])
def test_what_ships_is_sound(name: str) -> None:
    load_spec(SHIPPED[name])
