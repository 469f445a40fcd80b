"""The tests marked `gpu`, a file of them at a time; each test a row, as soon as it has ended."""

from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import pytest

from benchmarks.gpu.scale import TESTS, Row, Scale

FOLDER = Path(__file__).parents[2] / "tests" / "gpu"


def rows(scale: Scale, which: int) -> Iterator[Row]:
    """Pretended: the first test of the file alone."""
    name = list(TESTS)[which]
    found: SimpleQueue[Row | None] = SimpleQueue()

    def run() -> None:
        words = ["-m", "gpu", "-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-p", "no:xdist"]
        file = str(FOLDER / f"test_{name}_on_gpu.py")
        try:
            code = pytest.main(
                [*words, *(["--maxfail=1"] if scale.device == "cpu" else []), file],
                [Told(found, scale.device == "cpu")],
            )
            if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
                found.put(Row(name, False, f"pytest ended with {code!r}"))
        finally:
            found.put(None)

    Thread(target=run, daemon=True).start()
    yield from iter(found.get, None)


class Told:
    """A plugin of pytest."""

    def __init__(self, found: "SimpleQueue[Row | None]", first_alone: bool):
        self._found, self._first_alone = found, first_alone

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._first_alone:
            del items[1:]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            said = "" if report.passed else (report.longreprtext.strip().splitlines() or [""])[-1]
            test = report.nodeid.rpartition("::")[2]
            if report.when != "teardown" or report.failed:
                ok = None if report.skipped else report.passed
                self._found.put(
                    Row(
                        test,
                        ok,
                        said or f"{report.duration:.1f} s",
                        facts={"seconds": report.duration, "said": report.longreprtext},
                    )
                )
