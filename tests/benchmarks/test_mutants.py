"""Planted faults stay what they are, each one place of the tree; and the command finds what it should."""

import ast
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import mutants
from benchmarks.mutants import FAULTS, find
from benchmarks.planted.fault import ABOUT, Fault
from benchmarks.planted.trees import Tree, python
from benchmarks.planted.wings import ORDER, lookers, suite_of, wing_of
from tests.test_architecture import IMPORTS, MODULES, ROOT

every_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
CHEAP = "slope-for-charge"
WORD = Fault("word", "store", "it says another word", "trainer/greeting.py", "hello", "hallo")


def test_the_faults_are_many_and_of_every_kind() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 24
    counts = Counter(fault.about for fault in FAULTS)
    assert set(counts) == set(ABOUT)
    assert min(counts.values()) >= 3


@every_fault
def test_a_fault_is_one_place_and_can_be_run(fault: Fault) -> None:
    """What it says occurs once in its file, and the file means something else with it."""
    text = (ROOT / fault.file).read_text()
    planted = fault.in_text(text)
    compile(planted, fault.file, "exec")
    assert ast.dump(ast.parse(planted)) != ast.dump(ast.parse(text))


@every_fault
def test_a_fault_stands_in_a_wing_that_is_tested(fault: Fault) -> None:
    assert fault.wing in ORDER
    assert suite_of(fault.wing, fault.file)


def test_a_text_that_is_not_there_once_is_refused() -> None:
    for text in ("", "hello, hello"):
        with pytest.raises(ValueError, match=r"word: its text occurs . times"):
            WORD.in_text(text)


def test_a_wing_is_looked_at_by_its_own_tests_and_those_of_all_that_import_it() -> None:
    assert wing_of(Path("trainer/disk.py")) == "trainer"
    for path in MODULES.values():
        order = lookers(wing_of(path.relative_to(ROOT)))
        assert order[0] == wing_of(path.relative_to(ROOT))
        assert len(set(order)) == len(order)
    assert suite_of("trainer/noise", "trainer/noise/clips.py")[0] == "tests/trainer/noise/test_clips.py"
    order = lookers("trainer/noise")
    for user in ("trainer/objectives", "trainer/training", "sweeper/driver", "dashboard"):
        assert user in order
    assert "trainer/data" not in order
    assert order.index("trainer/objectives") < order.index("sweeper/driver"), "the nearest first"
    assert any("trainer.noise" in each for each in IMPORTS["trainer.objectives.forward"])


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("from trainer.greeting import WORD; assert WORD == 'hello'", True),
        ("from trainer.greeting import WORD; assert WORD", False),
        ("import no_such_module", False),  # for another reason
    ],
)
def test_a_fault_may_name_the_command_that_is_to_find_it(command: str, found: bool, tmp_path: Path) -> None:
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "__init__.py").touch()
    (tmp_path / WORD.file).write_text("WORD = 'hello'\n")
    sound = Tree(tmp_path, ("trainer/__init__.py", WORD.file))
    finding = find(WORD._replace(command=("-c", command)), sound=sound)
    assert (tmp_path / WORD.file).read_text() == "WORD = 'hello'\n"
    assert bool(finding.found_by) is found


def test_a_process_is_cut_where_its_time_is_over(tmp_path: Path) -> None:
    ran = python(["-c", "while True: pass"], Tree(tmp_path, ()), seconds=0.5)
    assert ran.cut
    assert ran.code != 0
    ran = python(["-c", "print('here')"], Tree(tmp_path, ()), seconds=60)
    assert (ran.code, ran.said, ran.cut) == (0, "here\n", False)
    assert ran.cpu_seconds > 0


def test_the_whole_is_kept_and_never_a_part(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, said in ((["--write", CHEAP], "never a part"), (["nobody"], "there is no fault nobody")):
        monkeypatch.setattr(sys, "argv", ["mutants", *words])
        with pytest.raises(SystemExit) as ended:
            mutants.main()
        assert ended.value.code == 2
        assert said in capsys.readouterr().err


@pytest.mark.long
def test_the_tests_of_the_noise_find_a_wrong_derivative(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command, in a copy of the tree."""
    monkeypatch.setattr(sys, "argv", ["mutants", "--quick", CHEAP])
    with pytest.raises(SystemExit) as ended:
        mutants.main()
    assert ended.value.code == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    (row,) = document["rows"]
    assert row["found_by"].startswith("tests/trainer/noise/")
    assert row["cpu_seconds"] > 0
    assert document["summary"]["survived"] == []
