"""The contract with scipy: its compiled functions are its package's own, to the bit, and the package stays as
it was for whoever imports it afterwards."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
ARGUMENTS = {  # by function, each within its range
    "ndtr": "(rng.normal(0, 8, 4000),)",
    "ndtri": "(rng.uniform(0, 1, 4000),)",
    "stdtr": "(rng.uniform(0.5, 60, 4000), rng.normal(0, 8, 4000))",
    "stdtrit": "(rng.uniform(0.5, 60, 4000), rng.uniform(0, 1, 4000))",
    "gammaincinv": "(rng.uniform(0.2, 40, 4000), rng.uniform(0, 1, 4000))",
    "fdtr": "rng.uniform(1, 9, (3, 400))",
    "ncfdtr": "rng.uniform(1, 9, (4, 400))",
}


def told(*lines: str) -> str:
    """What a process of its own prints."""
    command = [sys.executable, "-c", "\n".join(lines)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_the_package_around_them_is_not_loaded() -> None:
    loaded = told(
        "import sys",
        "import sweeper.statistics.quantiles, sweeper.terminal.board_table",
        "print('scipy.special' in sys.modules, 'numpy.f2py' in sys.modules)",
    )
    assert loaded == "False False\n"


def test_each_is_that_of_the_package_and_the_package_is_whole_afterwards() -> None:
    differ = told(
        "from sweeper.statistics.scipy_private import special as own",
        "import numpy as np",
        "import scipy.special, scipy.stats, scipy.optimize, scipy.integrate, scipy.interpolate",
        "assert own is not scipy.special and set(scipy.special.__all__) <= set(dir(scipy.special))",
        "rng = np.random.default_rng(0)",
        *(
            f"x = {given}; assert (own.{name}(*x).tobytes() == scipy.special.{name}(*x).tobytes()), '{name}'"
            for name, given in ARGUMENTS.items()
        ),
        "print(scipy.stats.norm.cdf(0.5) == own.ndtr(0.5))",
    )
    assert differ == "True\n"


def test_where_the_package_is_there_or_may_be_asked_for_meanwhile_it_is_taken() -> None:
    name = "import sys; from sweeper.statistics.scipy_private import special; print(special.__name__)"
    assert told("import scipy.special", name) == "scipy.special\n"
    waits = "import threading; e = threading.Event(); threading.Thread(target=e.wait, daemon=True).start()"
    assert told(waits, name) == "scipy.special\n"
