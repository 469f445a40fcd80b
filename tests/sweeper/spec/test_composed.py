"""A specification made of others and of the environment: what counts, where errors stand, what is kept."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.shipped import shipped
from sweeper.spec.environment import Environment, Refused
from sweeper.spec.load import load_spec, read_spec
from sweeper.spec.spec import SweepSpec, differences
from sweeper.spec.yaml_source import InvalidSpec

BASE = """name: base
trainer: {data: {name: pydocs, length: 64}, model.size: nano, finetune.steps: 100}
space:
  finetune.block_size: {choice: [4, 16]}
  finetune.lr: {log_uniform: [1.0e-4, 1.0e-2]}
search: {trials: 5, seed: 3}
"""


def put(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def loaded(folder: Path, text: str, **environment: str) -> SweepSpec:
    put(folder, mine=text)
    return load_spec(folder / "mine.yaml", environment=Environment(environment))


def wrong(folder: Path, text: str, **environment: str) -> str:
    with pytest.raises(InvalidSpec) as found:
        loaded(folder, text, **environment)
    return str(found.value)


# --- extends ------------------------------------------------------------------------------------
def test_what_is_said_goes_over_what_is_extended(tmp_path: Path) -> None:
    put(tmp_path, base=BASE)
    spec = loaded(
        tmp_path,
        "extends: base.yaml\nsearch.trials: 9\nspace: {finetune.block_size: {int: [4, 8], step: 4}}\n",
    )
    assert spec.name == "mine"
    assert (spec.search.trials, spec.search.seed) == (9, 3)
    assert spec.trainer["finetune.steps"] == 100
    assert spec.resolved()["space"]["finetune.block_size"]["int"] == [4, 8]
    assert set(spec.dimensions) == {"finetune.block_size", "finetune.lr"}


def test_it_is_the_sweep_that_one_file_would_be(tmp_path: Path) -> None:
    put(tmp_path, base=BASE)
    spec = loaded(tmp_path, "extends: base.yaml\nname: base\n")
    assert differences(read_spec(BASE, "base.yaml", "base").resolved(), spec.resolved()) == []
    assert "# finetune.block_size" not in spec.text
    assert "#   finetune.block_size: {choice: [4, 16]}" in spec.text


def test_a_chain_of_files(tmp_path: Path) -> None:
    put(tmp_path, base=BASE, middle="extends: base.yaml\nsearch.trials: 7\n")
    assert loaded(tmp_path, "extends: middle.yaml\n").search.trials == 7


def test_one_that_comes_with_the_program_is_meant_by_its_name(tmp_path: Path) -> None:
    assert loaded(tmp_path, "extends: smoke\nsearch.trials: 9\n").search.trials == 9
    assert loaded(tmp_path, "extends: report/table1\n").always == load_spec(shipped()["report/table1"]).always
    put(tmp_path, smoke=BASE)
    assert loaded(tmp_path, "extends: smoke\n").search.seed == 3  # one's own is nearer


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extends: nosuch.yaml\n", "mine.yaml:1:1: extends: "),
        ("extends: [a, b]\n", "must be another specification"),
        ("extends: mine.yaml\n", "extends this file in its turn"),
        ("extends: round.yaml\n", "round.yaml:1:1: extends: mine.yaml extends this file in its turn"),
        ("extends: broken.yaml\n", "broken.yaml:1:1: serch: unknown; did you mean search?"),
    ],
)
def test_what_is_wrong_stands_where_it_is(text: str, said: str, tmp_path: Path) -> None:
    put(tmp_path, round="extends: mine.yaml\n", broken="serch: {trials: 1}\n")
    assert said in wrong(tmp_path, text)


# --- the environment ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "environment", "value"),
    [
        ("search.trials: ${N}\n", {"N": "7"}, 7),
        ("search.trials: ${N:-4}\n", {}, 4),
        ("search.trials: ${N:-4}\n", {"N": "6"}, 6),
        ("search.trials: ${N:-4}\n", {"N": ""}, 4),
        ("search:\n  trials: 1${N}\n", {"N": "2"}, 12),
    ],
)
def test_variables_are_filled_in(text: str, environment: dict[str, str], value: int, tmp_path: Path) -> None:
    spec = loaded(tmp_path, f"space: {{finetune.block_size: {{choice: [4, 8]}}}}\n{text}", **environment)
    assert spec.search.trials == value
    assert SweepSpec.from_resolved(spec.resolved()).environment == spec.environment
    assert set(spec.environment) == {"N"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("search.trials: ${N}\n", "1:16: search.trials: the environment has no N"),
        ("describe: ${HUB_TOKEN}\n", "called like a secret"),
        ("describe: ${MY_KEY:-x}\n", "called like a secret"),
        ("describe: ${db_password}\n", "called like a secret"),
        ("describe: ${}\n", "begins a variable's name"),
        ("search.trials: ${N:-many}\n", "must be a valid integer"),
        ("environment: {N: 3}\n", "environment: unknown"),
        (
            "search: {trials: ${N}}\n",
            "1:19: not YAML: expected ',' or '}', but got '{'; between brackets, ${NAME} stands in",
        ),
    ],
)
def test_what_cannot_be_filled_in_is_said(text: str, said: str, tmp_path: Path) -> None:
    assert said in wrong(tmp_path, text, HUB_TOKEN="t", MY_KEY="k", db_password="p")


def test_the_environment_makes_no_other_sweep_but_its_values_do(tmp_path: Path) -> None:
    text = "space: {finetune.block_size: {choice: [4, 8]}}\nsearch.trials: ${N}\ndescribe: ${W:-x}\n"
    one, same, other = (loaded(tmp_path, text, N=n, W=w) for n, w in (("4", "a"), ("4", "b"), ("5", "a")))
    assert differences(one.resolved(), same.resolved()) == []
    assert differences(one.resolved(), other.resolved()) == ["search.trials: 4 -> 5"]


def test_what_a_sweep_was_made_with_goes_before_even_where_it_is_empty() -> None:
    """An empty variable had no default once: such a sweep goes on as it was made."""
    of_a_sweep = Environment({"N": "7", "W": ""}, made={"N": ""})
    assert of_a_sweep.fill("${N:-4} ${W:-x} ${W}") == " x "
    assert of_a_sweep.used == {"N": "", "W": ""}


@given(st.text(alphabet="ab${}:-N ", max_size=30))
def test_any_text_is_filled_in_or_refused(text: str) -> None:
    try:
        filled = Environment({"N": "1"}).fill(text)
    except Refused:
        return
    assert "${" not in text or "${" in filled or "$${" not in text


@given(st.text(alphabet="ab{}:- ", max_size=30))
def test_text_without_a_variable_stays(text: str) -> None:
    assert Environment({}).fill(text) == text


# --- words that change nothing -------------------------------------------------------------------
def test_description_and_tags_may_change(tmp_path: Path) -> None:
    text = "space: {finetune.block_size: {choice: [4, 8]}}\nsearch.trials: 4\n"
    plain = loaded(tmp_path, text)
    said = loaded(
        tmp_path, f"{text}describe: on the new corpus\ntags: [paper, night]\nnotify: {{command: 'true'}}\n"
    )
    assert said.tags == ("paper", "night")
    assert differences(plain.resolved(), said.resolved()) == []
    assert loaded(tmp_path, f"{text}tags: paper\n").tags == ("paper",)


@pytest.mark.parametrize(
    "text",
    [
        "notify: {}\n",
        "notify: {command: ''}\n",
        "notify: {command: x, on: never}\n",
        "tags: ['']\n",
        "tags: [[a]]\n",
    ],
)
def test_words_that_say_nothing_are_refused(text: str, tmp_path: Path) -> None:
    assert text.partition(":")[0] in wrong(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("notify: {command: ''}\n", "notify.command: names nothing; it needs 1 at least"),
        ("notify: {command: x, on: []}\n", "notify.on: names nothing; it needs 1 at least"),
        ("notify: {command: x, on: [ende]}\n", "must be 'end', 'failure' or 'answer', got 'ende'"),
    ],
)
def test_of_a_list_its_items_are_what_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    assert wrong(tmp_path, text).strip().endswith(said)
