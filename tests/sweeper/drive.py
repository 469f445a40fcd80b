"""A driver process for tests: python -m tests.sweeper.drive URL FILES SPEC [key=value ...]"""

import os
import sys
from pathlib import Path

from sweeper.lease import LEASE
from sweeper.progress import Lines
from sweeper.runner import run_sweep
from sweeper.spec import load_spec


def main() -> int:
    url, files, file, *overrides = sys.argv[1:]
    spec = load_spec(Path(file), overrides)
    code = run_sweep(
        spec,
        Path(file).read_text(),
        url,
        Path(files),
        progress=Lines(),
        train="tests.fakes",
        address=os.environ.get("FAKE_ADDRESS", "local"),
        lease_seconds=float(os.environ.get("FAKE_LEASE", LEASE)),
    )
    assert "torch" not in sys.modules, "the driver has imported torch"
    return code


if __name__ == "__main__":
    sys.exit(main())
