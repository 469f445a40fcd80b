"""A driver process for tests: python -m tests.sweeper.drive URL FILES SPEC [key=value ...]"""

import os
import sys
from pathlib import Path

from sweeper.driver.lease import LEASE
from sweeper.driver.progress import Lines
from sweeper.execution.runner import Means, run_sweep
from sweeper.planning import machine, packing
from sweeper.planning.calibration import Shape
from sweeper.planning.cost_estimates import Measured
from sweeper.spec.load import load_spec


def probe(shape: Shape, device: str, threads: int) -> Measured:
    """Of a GPU that is not there."""
    return Measured(0.1, 0.1, 0.1, 0.1, int(os.environ["FAKE_MEMORY"]), 1000)


def main() -> int:
    url, files, file, *overrides = sys.argv[1:]
    spec = load_spec(Path(file), overrides)
    means = Means(
        train="tests.fakes",
        address=os.environ.get("FAKE_ADDRESS", "local"),
        lease_seconds=float(os.environ.get("FAKE_LEASE", LEASE)),
    )
    if "FAKE_MEMORY" in os.environ:
        means = means._replace(probe=probe, gpu_memory=100_000_000_000)
    if "FAKE_CORES" in os.environ:
        machine.usable_cores = packing.usable_cores = lambda: int(os.environ["FAKE_CORES"])
    code = run_sweep(spec, url, files, Lines(), means)
    assert "torch" not in sys.modules, "the driver has imported torch"
    return code


if __name__ == "__main__":
    sys.exit(main())
