"""A test says in which precision it trains, or it is float32: on every machine the same."""

import os
import resource

import pytest

os.environ.setdefault("TRAINER_PRECISION", "float32")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What a run has cost, whatever else the machine did: of this process and of all that it waited for, the
    two of `make test` among them. A daemon that outlived who started it (Ray's) is not counted."""
    if hasattr(config, "workerinput"):  # one of the two: its time is counted by who waits for it
        return
    spent = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(each.ru_utime + each.ru_stime for each in spent)
    terminalreporter.write_line(f"{seconds:.0f} CPU-seconds")
