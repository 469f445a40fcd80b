"""What pages read of a run's folder; and that what is not there, damaged or no plain file is nothing."""

import json
from pathlib import Path

import pytest

from sweeper.files import run_folder
from sweeper.files.run_folder import MOST_SAMPLES, log_of, reported, samples, stamp, tail
from sweeper.store.records import SweepRecord


def row(step: int, **values: float) -> str:
    return json.dumps({"step": step, "values": values, "evaluations": []}) + "\n"


def test_reports_are_curves_up_to_a_line_that_is_still_written(tmp_path: Path) -> None:
    whole = row(10, train_loss=7.0, tokens=100) + row(20, train_loss=6.0)
    (tmp_path / "rows.jsonl").write_text(whole + row(30, train_loss=5.0)[:20])
    assert reported(str(tmp_path)) == {"train_loss": [(10, 7.0), (20, 6.0)], "tokens": [(10, 100.0)]}


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[]\n", b'{"step": 1}\n', b'{"step": 1, "values": 3}\n']
)
def test_what_is_no_report_is_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    (tmp_path / "samples.jsonl").write_bytes(content)
    assert reported(str(tmp_path)) == {}
    assert samples(str(tmp_path)) == []


@pytest.mark.parametrize("folder", ["nowhere", "s3://bucket/run", "a\0b"])
def test_a_folder_that_is_not_here_has_nothing(folder: str) -> None:
    assert reported(folder) == {}
    assert samples(folder) == []
    assert stamp(folder, run_folder.ROWS) is None


def test_a_link_to_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(json.dumps({"text": "secret"}))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "samples.jsonl").symlink_to(tmp_path / "secret")
    assert samples(str(tmp_path / "run")) == []


def test_samples_are_the_first_and_older_ones_have_no_order(tmp_path: Path) -> None:
    lines = [json.dumps({"text": str(i)}) for i in range(MOST_SAMPLES + 5)]
    lines[0] = json.dumps({"text": "to be", "words": ["to", " be"], "passes": [2, 1]})
    (tmp_path / "samples.jsonl").write_text("\n".join(lines))
    found = samples(str(tmp_path))
    assert len(found) == MOST_SAMPLES
    assert (found[0].words, found[0].passes) == (["to", " be"], [2, 1])
    assert (found[1].text, found[1].passes) == ("1", None)
    (tmp_path / "samples.jsonl").write_text(json.dumps({"text": "", "words": ["a"], "passes": [1, 2]}))
    assert samples(str(tmp_path)) == []


def test_a_stamp_changes_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(row(1))
    before = stamp(str(tmp_path), "rows.jsonl")
    assert before == stamp(str(tmp_path), "rows.jsonl")
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write(row(2))
    assert before != stamp(str(tmp_path), "rows.jsonl")


def test_of_a_log_the_end_is_read_in_whole_lines(tmp_path: Path) -> None:
    lines = [f"line {i} é" for i in range(1000)]
    (tmp_path / "log").write_text("\n".join(lines))
    assert tail(tmp_path / "log").splitlines() == lines
    end = tail(tmp_path / "log", most=100)
    assert len(end.encode()) <= 100
    assert end.splitlines() == lines[-len(end.splitlines()) :]
    assert tail(tmp_path / "none") == ""


def test_the_log_of_a_sweep_is_beside_its_trials(tmp_path: Path) -> None:
    sweep = SweepRecord(3, "s", "", {}, "0", str(tmp_path), "running", "", 0.0, None, None, None)
    assert log_of(sweep) == ""
    (tmp_path / "trials" / "3").mkdir(parents=True)
    (tmp_path / "trials" / "3" / "ray.log").write_text("hello\n")
    assert log_of(sweep) == "hello\n"
