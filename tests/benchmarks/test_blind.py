"""The mistakes that the simulation is to see stay what they are, each one place of the tree."""

import ast

import pytest

from benchmarks.planted.driver import FAULTS
from benchmarks.planted.fault import Fault
from tests.test_architecture import ROOT


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_mistake_is_one_place_and_can_be_run(fault: Fault) -> None:
    text = (ROOT / fault.file).read_text()
    planted = fault.in_text(text)
    compile(planted, fault.file, "exec")
    assert ast.dump(ast.parse(planted)) != ast.dump(ast.parse(text))
    assert fault.file.startswith(("sweeper/driver/", "sweeper/store/", "sweeper/search/"))
