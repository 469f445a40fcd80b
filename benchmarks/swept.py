"""What is in the store once a sweep has been run to its end, in a folder of its own?"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweeper.driver.progress import Progress
    from sweeper.execution.runner import Means
    from sweeper.spec.spec import SweepSpec
    from sweeper.store.queries import Reader


@contextmanager
def swept(
    spec: "SweepSpec", folder: Path, means: "Means | None" = None, progress: "Progress | None" = None
) -> "Iterator[Reader]":
    """Its store. Raises AssertionError where it does not end with every trial complete."""
    from sweeper.driver.progress import Lines
    from sweeper.execution.runner import Means, run_sweep
    from sweeper.store.queries import Reader

    url = f"sqlite:///{folder / 'sweeps.db'}"
    code = run_sweep(spec, url, folder / "files", progress or Lines(), means or Means())
    assert code == 0, code
    with closing(Reader(url)) as reader:
        yield reader
