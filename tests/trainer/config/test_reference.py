"""The page of every setting is what the fields say."""

import re
from pathlib import Path

from trainer.config.names import names_of, train_names
from trainer.config.reference import PHASES, page
from trainer.sampling.config import SamplingConfig

DOCUMENT = Path(__file__).parents[3] / "docs" / "fields.md"


def rows() -> dict[str, list[str]]:
    """By name: what it is unless said, what it may be, of which kinds, what it is."""
    found = {}
    for line in page().splitlines():
        name, *cells = (each.strip() for each in re.split(r"(?<!\\)\|", line)[1:-1] or [""])
        if name.startswith("`"):
            assert name not in found, f"{name} stands there twice"
            found[name.strip("`")] = cells
    return found


def test_the_document_is_the_page() -> None:
    """Renew it: python -m trainer fields --markdown > docs/fields.md"""
    assert DOCUMENT.read_text() == page()


def test_every_setting_has_a_row_that_says_what_it_is() -> None:
    there = rows()
    for name in (*train_names().leaves, *names_of(SamplingConfig).leaves):
        phase, _, word = name.partition(".")
        assert name in there or (phase in PHASES and f"finetune.{word}" in there), name
    assert [name for name, cells in there.items() if not cells[-1]] == []


def test_a_row_says_what_differs_between_kinds_and_phases() -> None:
    there = rows()
    assert there["finetune.schedule.mu"][:3] == ["0.5", "number in [0, 1]", "gaussian"]
    assert "true (curve)" in there["finetune.reweighting.normalize"][0]
    assert there["finetune.time.per"][1:3] == ["block, sequence, token", ""]
    assert (there["pretrain.steps"][0], there["finetune.steps"][0]) == ("0", "200")
    assert "pretrain.lr" not in there
