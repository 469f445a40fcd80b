"""Pretrains on disk: sealed, found damaged, run again. Fakes train."""

import json
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sweeper.driver.jobs import StageJob
from sweeper.files import stage_cache
from sweeper.store.queries import Reader
from sweeper.store.records import StageRecord
from tests.sweeper.driving import make_spec, opened, run_to_end, run_until_killed

STAGED = ("trainer.pretrain.steps=2", "trainer.pretrain.block_size=64", "search.trials=3")


def stage_of(url: str) -> StageRecord:
    with closing(Reader(url)) as reader:
        (stage,) = reader.stages()
        return stage


def test_a_seal_is_what_sha256sum_checks(tmp_path: Path) -> None:
    (tmp_path / "last.safetensors").write_bytes(b"weights")
    stage_cache.seal(tmp_path)
    assert stage_cache.fault(tmp_path) == ""
    checked = subprocess.run(
        ["sha256sum", "-c", stage_cache.SEAL], cwd=tmp_path, capture_output=True, text=True
    )
    assert checked.stdout == "last.safetensors: OK\n"


def test_a_checkpoint_without_a_seal_is_unfinished_and_stays(tmp_path: Path) -> None:
    (tmp_path / "last.safetensors").write_bytes(b"half")
    assert "no checksum" in stage_cache.fault(tmp_path)
    stage_cache.discard_damaged(tmp_path)
    assert (tmp_path / "last.safetensors").exists()


def test_a_discard_that_was_cut_off_is_done_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "last.safetensors").write_bytes(b"weights")
    stage_cache.seal(tmp_path)
    (tmp_path / "last.safetensors").unlink()  # and killed here: a seal is left that fits nothing
    stage_cache.discard_damaged(tmp_path)
    assert not (tmp_path / stage_cache.SEAL).exists()


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def empty_the_seal(file: Path) -> None:
    (file.parent / stage_cache.SEAL).write_text("")


def state_in(checkpoint: Path) -> dict[str, Any]:
    """But for the attempt that has saved it."""
    state: dict[str, Any] = json.loads(checkpoint.read_text())
    return {name: value for name, value in state.items() if name != "attempt"}


@pytest.mark.parametrize(
    ("harm", "said"),
    [(flip, "damaged"), (cut_off, "damaged"), (Path.unlink, "gone"), (empty_the_seal, "damaged")],
)
def test_a_damaged_stage_is_run_again_and_said(harm: Any, said: str, place: tuple[str, Path]) -> None:
    url, files = place
    run_to_end(url, make_spec(*STAGED), files)
    checkpoint = Path(stage_of(url).folder) / "last.safetensors"
    whole = state_in(checkpoint)
    harm(checkpoint)

    again = make_spec(*STAGED, "name=again")
    with opened(url, again, files) as driver:
        job = driver.next()
        assert isinstance(job, StageJob)
    run_to_end(url, again, files)
    assert state_in(checkpoint) == whole  # trained anew from the start, equal to the bit
    assert stage_cache.fault(checkpoint.parent) == ""
    steps = (checkpoint.parent / "ledger.txt").read_text().splitlines()
    assert steps[:2] == ["1 1", "1 2"]
    assert [line.split()[1] for line in steps[2:]] == ["1", "2"]
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("again")
        assert sweep is not None
        assert reader.trial_states(sweep.id) == {"complete": 3}
        texts = [event.text for event in reader.events(sweep.id) if event.kind == "stage"]
    assert texts
    assert all(f"pretrain {stage_of(url).key} is run again" in text and said in text for text in texts)


def test_a_whole_stage_is_looked_at_once_in_a_process(
    place: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, files = place
    run_to_end(url, make_spec(*STAGED), files)
    looks: list[Path] = []

    def fault(folder: Path) -> str:
        looks.append(folder)
        return stage_cache.fault(folder)

    monkeypatch.setattr("sweeper.driver.stages.fault", fault)
    run_to_end(url, make_spec(*STAGED, "name=again"), files)
    assert len(looks) == 1


@pytest.mark.long
def test_killed_anywhere_a_stage_ends_sealed(tmp_path: Path) -> None:
    spec = make_spec(*STAGED, "search.trials=1")
    kills = 0
    for commits in range(2, 60, 4):
        url, files = f"sqlite:///{tmp_path}/{commits}.db", tmp_path / str(commits)
        if not run_until_killed(url, spec, files, commits):
            break
        kills += 1
        run_to_end(url, spec, files)
        folder = Path(stage_of(url).folder)
        assert stage_cache.fault(folder) == ""
        assert [line.split()[1] for line in (folder / "ledger.txt").read_text().splitlines()] == ["1", "2"]
    assert kills >= 3
