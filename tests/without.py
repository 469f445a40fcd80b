"""A machine where some packages are not installed: `python -m tests.without PACKAGE,... < command lines`.

Each line is a list of words in JSON, `sweeper` or `trainer` first; what comes back is one line of JSON for
each, its exit code and all that it wrote. Commands run one after another in this process, as installed."""

import json
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from typer.testing import CliRunner


class Without(MetaPathFinder):
    """Finds what another finds, but for some packages: importing them fails, and find_spec finds none."""

    def __init__(self, finder: Any, packages: frozenset[str]):
        self._finder, self._packages = finder, packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in self._packages:
            return None
        found: ModuleSpec | None = self._finder.find_spec(fullname, path, target)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


def main() -> None:
    packages = frozenset(sys.argv[1].split(","))
    sys.meta_path[:] = [Without(each, packages) for each in sys.meta_path]
    from sweeper.cli.main import app as sweeper
    from trainer.cli.main import app as trainer

    for line in sys.stdin:
        program, *words = json.loads(line)
        done = CliRunner().invoke({"sweeper": sweeper, "trainer": trainer}[program], words)
        print(json.dumps([done.exit_code, done.output]), flush=True)


if __name__ == "__main__":
    main()
