"""A decision and the line that says so: a kill leaves both, or neither."""

from contextlib import closing
from pathlib import Path

import pytest

from sweeper.store.queries import Reader
from tests.sweeper.driving import kill_points, make_spec, run_to_end

KINDS = ("repeat", "confirm")
TEXT = """
name: test
trainer: {data: {name: pydocs, length: 64}, model.size: nano, finetune.steps: 2, evaluation.every: 2}
space: {finetune.block_size: {choice: [4, 8, 16]}}
search: {sampler: random, trials: 3, seed: 3}
confirm: {top: 1, seeds: 2}
"""


def said(url: str) -> list[str]:
    with closing(Reader(url)) as reader:
        return sorted(each.text for each in reader.events(1, limit=10_000) if each.kind in KINDS)


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.long)])
def test_however_it_is_killed_each_line_stands_once(stride: int, tmp_path: Path) -> None:
    spec, url = make_spec(text=TEXT), f"sqlite:///{tmp_path}/whole.db"
    for copy in kill_points(url, spec, tmp_path / "whole", stride):
        run_to_end(copy, spec, tmp_path)
        assert said(copy) == said(url)
    assert {line.split()[0] for line in said(url)} == {"proposal", "the"}
