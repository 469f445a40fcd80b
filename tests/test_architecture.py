"""The rules of the house: wings and their order, no circles, who may import what, and what stays light.

docs/architecture.md draws the wings; test_architecture_document.py holds the picture against the imports.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("trainer", "sweeper", "dashboard")

# From top to bottom: a file imports from its own wing and from those below it. What stands beside the wings
# of a package is its ground floor.
WINGS = {
    "sweeper": (
        *("cli", "terminal", "execution", "driver", "search", "trackers", "results", "planning"),
        *("statistics", "files", "store", "spec", "strategies"),
    ),
    "trainer": (
        *("cli", "training", "evaluation", "checkpoints", "config"),
        *("objectives", "sampling", "network", "data", "settings", "noise"),
    ),
}
DOORS = (
    "sweeper",
    "sweeper.from_python",
    "sweeper.__main__",
    "trainer.__main__",
)  # they open into the top wings
MOST_FILES = 22  # of a wing
MOST_LINES = 300

# Where a package may be imported, as file prefixes; anywhere else it is a mistake.
ALLOWED = {
    "ray": ("sweeper/execution/",),
    "optuna": ("sweeper/search/", "sweeper/strategies/"),
    "sqlalchemy": ("sweeper/store/",),
    "streamlit": ("dashboard/",),
    "pandas": ("dashboard/", "sweeper/results/notebook.py", "sweeper/from_python.py"),  # the last: a type
    "torch": ("trainer/", "sweeper/strategies/optuna_private_gp.py"),
    "transformers": ("trainer/",),
    "datasets": ("trainer/data/",),
    "tensorboard": ("sweeper/trackers/tensorboard.py",),
    "mlflow": ("sweeper/trackers/mlflow.py",),
    "wandb": ("sweeper/trackers/wandb.py",),
    "sweeper": ("sweeper/", "dashboard/"),
    "dashboard": ("dashboard/", "sweeper/cli/export.py"),  # `share` is a page of the dashboard's figures
}
# Names that a library keeps for itself: read from the version that the contract tests name.
# Of Optuna what loads torch has a file beside the other.
PRIVATE = {
    "ray": ("sweeper/execution/ray_private.py",),
    "optuna": ("sweeper/strategies/optuna_private.py", "sweeper/strategies/optuna_private_gp.py"),
    "scipy": ("sweeper/statistics/scipy_private.py",),
}
# What the dashboard may read; none of it imports torch, ray or optuna.
DASHBOARD_MAY = (
    *("sweeper.results.", "sweeper.planning.", "sweeper.statistics.", "sweeper.store.", "sweeper.spec."),
    *("sweeper.files.run_folder.", "sweeper.files.trial_files.", "trainer.sampling.samples_file."),
    *("sweeper.words", "trainer.noise.", "trainer.metrics"),
)
# Copied as it is into the folder of an exported model, where transformers finds its neighbour only so.
IMPORTS_RELATIVELY = "trainer/checkpoints/modeling_bd3lm.py"
HEAVY = (
    *("torch", "ray", "optuna", "streamlit", "sqlalchemy", "pandas", "transformers", "datasets"),
    *("tensorboard", "mlflow", "wandb"),
)
# Trainer's wings without torch at module level: what specs are checked with and the dashboard draws with.
TORCH_FREE = ("trainer.noise.", "trainer.settings.", "trainer.config.", "trainer.data.", "trainer.metrics")


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(path): path for path in sources()}


def imports(path: Path) -> Iterator[str]:
    """Of modules of this house the module itself, of others the dotted name. Type-only imports count."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level and str(path.relative_to(ROOT)) == IMPORTS_RELATIVELY:
                yield f"{module(path.parent)}.{node.module}"
                continue
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module or ""


IMPORTS = {name: sorted(set(imports(path))) for name, path in MODULES.items()}


def wing(name: str) -> tuple[str, int]:
    """(package, how far from the top)."""
    package, *rest = name.split(".")
    if name in DOORS or package not in WINGS:
        return package, -1
    wings = WINGS[package]
    return package, wings.index(rest[0]) if rest and rest[0] in wings else len(wings)


def test_every_folder_is_a_wing() -> None:
    for package, wings in WINGS.items():
        folders = {p.parent.name for p in (ROOT / package).glob("*/__init__.py")}
        assert folders == set(wings)


def test_imports_run_down_the_wings() -> None:
    wrong = [
        f"{name} imports {other}"
        for name in MODULES
        for other in IMPORTS[name]
        if other in MODULES and wing(name)[0] == wing(other)[0] and wing(name)[1] > wing(other)[1]
    ]
    assert not wrong


def test_nothing_imports_in_a_circle() -> None:
    """Tarjan's strongly connected components, the type-only imports counted."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    circles: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in IMPORTS[name]:
            if other in MODULES and other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            circle = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(circle) > 1:
                circles.append(sorted(circle))

    for name in MODULES:
        if name not in index:
            visit(name)
    assert not circles


def test_a_name_is_imported_from_where_it_is_defined() -> None:
    """But the notebook's door."""
    defined = {name: set(_defined(path)) for name, path in MODULES.items()}
    wrong = [
        f"{name}: {alias.name} of {node.module}"
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module in MODULES and node.module != "sweeper"
        for alias in node.names
        if alias.name not in defined[node.module] and f"{node.module}.{alias.name}" not in MODULES
    ]
    assert not wrong


def _defined(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_a_package_is_imported_only_where_it_belongs(package: str) -> None:
    wrong = [
        f"{name}: {other}"
        for name, path in MODULES.items()
        for other in IMPORTS[name]
        if other.split(".")[0] == package and not str(path.relative_to(ROOT)).startswith(ALLOWED[package])
    ]
    assert not wrong


@pytest.mark.parametrize("library", sorted(PRIVATE))
def test_private_names_of_a_library_stand_in_one_place(library: str) -> None:
    wrong = [
        f"{name}: {other}"
        for name, path in MODULES.items()
        for other in IMPORTS[name]
        if other.split(".")[0] == library
        and any(part.startswith("_") for part in other.split("."))
        and str(path.relative_to(ROOT)) not in PRIVATE[library]
    ]
    assert not wrong


@pytest.mark.parametrize("library", sorted(PRIVATE))
def test_nobody_else_reaches_into_a_library(library: str) -> None:
    """By an attribute or a keyword: study._storage, init(_temp_dir=...). Of whoever imports the library."""
    wrong = [
        f"{name}: {reached}"
        for name, path in MODULES.items()
        if any(other.split(".")[0] == library for other in IMPORTS[name])
        and str(path.relative_to(ROOT)) not in PRIVATE[library]
        for reached in _reached(path)
    ]
    assert not wrong


def _reached(path: Path) -> Iterator[str]:
    """Private names, but a file's own (self, cls) and those that every NamedTuple has."""
    of_tuples = {name for name in dir(NamedTuple("Empty", [])) if not name.startswith("__")}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.keyword):
            name = node.arg or ""
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
            name = node.attr
        else:
            continue
        if name.startswith("_") and not name.startswith("__") and name not in of_tuples:
            yield ast.unparse(node)


def test_the_dashboard_reads_only_what_is_made_for_it() -> None:
    wrong = [
        f"{name}: {other}"
        for name in MODULES
        if name.startswith("dashboard")
        for other in IMPORTS[name]
        if other.split(".")[0] in ("trainer", "sweeper") and not f"{other}.".startswith(DASHBOARD_MAY)
    ]
    assert not wrong


def test_what_the_dashboard_may_read_loads_nothing_heavy() -> None:
    """In a process of its own, all of it at once."""
    light = [name for name in MODULES if f"{name}.".startswith((*DASHBOARD_MAY, *TORCH_FREE))]
    light.remove("sweeper.results.notebook")
    loaded = _loaded(f"import {', '.join(sorted(light))}")
    assert loaded <= {"sqlalchemy"}


def test_the_door_of_the_sweeper_loads_nothing_heavy() -> None:
    assert not _loaded("import sweeper")
    assert not _loaded("from sweeper import run, open_store, SweepEnded")
    assert not _loaded("import sweeper.cli.main")


def test_a_worker_does_not_load_the_store_nor_the_search() -> None:
    """Each has a process of its own, which imports before it trains."""
    assert _loaded("import sweeper.execution.worker", among=("sqlalchemy", "optuna", "scipy")) == set()


def test_a_board_does_not_load_what_checks_specifications() -> None:
    assert _loaded("import sweeper.terminal.board_table", among=("pydantic", "trainer.config")) == set()


def _loaded(statement: str, among: Sequence[str] = HEAVY) -> set[str]:
    code = f"import sys; {statement}; print([m for m in {tuple(among)!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(ast.literal_eval(done.stdout))


def test_init_files_are_empty() -> None:
    full = [str(p.relative_to(ROOT)) for p in sources() if p.name == "__init__.py" and p.read_text().strip()]
    # The one exception: what `import sweeper` gives to Python, each name from its home when it is asked for.
    assert full == ["sweeper/__init__.py"]


def test_files_have_one_room_and_say_what_they_answer() -> None:
    code = [path for path in sources() if path.name not in ("__init__.py", "__main__.py")]
    long = {module(p): n for p in code if (n := len(p.read_text().splitlines())) > MOST_LINES}
    mute = [module(p) for p in code if not ast.get_docstring(ast.parse(p.read_text()))]
    assert (long, mute) == ({}, [])


def test_a_wing_can_be_overlooked() -> None:
    large = {
        f"{package}/{each}": count
        for package, wings in WINGS.items()
        for each in wings
        if (count := len(list((ROOT / package / each).glob("*.py"))) - 1) > MOST_FILES
    }
    assert not large
