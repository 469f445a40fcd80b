"""The rules of the house: who may import whom, and what stays light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "ray", "optuna", "streamlit", "sqlalchemy", "pandas", "transformers", "datasets")

# Where a package may be imported, as file prefixes; anywhere else it is a mistake.
ALLOWED = {
    "ray": (
        "sweeper/execution/worker.py",
        "sweeper/execution/runner.py",
        "sweeper/execution/local_ray.py",
        "sweeper/execution/cluster_ray.py",
        "sweeper/execution/tune_adapters.py",
    ),
    "sqlalchemy": ("sweeper/store/",),
    "optuna": ("sweeper/",),
    "streamlit": ("dashboard/",),
    "pandas": ("dashboard/", "sweeper/results/notebook.py"),
    "torch": ("trainer/",),
    "sweeper": ("sweeper/", "dashboard/"),
    "dashboard": ("dashboard/",),
}
# Of the trainer and the sweeper, what the dashboard may read.
DASHBOARD_MAY = (
    "sweeper.store.queries",
    "sweeper.store.records",
    "sweeper.store.errors",
    "sweeper.store.controls",
    "sweeper.results.leaderboard",
    "trainer.metrics",
    "trainer.noise.schedules",
    "trainer.noise.reweighting",
)
# Importable without torch: what specs are checked with and the dashboard draws with.
TORCH_FREE = (
    "trainer.config.train_config",
    "trainer.noise.schedules",
    "trainer.noise.reweighting",
    "trainer.noise.masking",
    "trainer.metrics",
    "trainer.evaluation.record",
    "trainer.data.union",
    "trainer.objectives.union",
    "sweeper.spec.spec",
    "sweeper.spec.space",
    "sweeper.results.leaderboard",
    "sweeper.store.queries",
)


def sources() -> list[Path]:
    return [
        p for package in ("trainer", "sweeper", "dashboard") for p in sorted((ROOT / package).rglob("*.py"))
    ]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_a_package_is_imported_only_where_it_belongs(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources()
        for name in imports(path)
        if name.split(".")[0] == package and not str(path.relative_to(ROOT)).startswith(ALLOWED[package])
    ]
    assert not wrong


def test_the_dashboard_reads_only_what_is_made_for_it() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources()
        if path.is_relative_to(ROOT / "dashboard")
        for name in imports(path)
        if name.split(".")[0] in ("trainer", "sweeper") and name not in DASHBOARD_MAY
    ]
    assert not wrong


@pytest.mark.parametrize("module", TORCH_FREE)
def test_light_modules_load_without_torch_ray_and_streamlit(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    may = {"sqlalchemy"} if module.startswith(("sweeper.results.leaderboard", "sweeper.store")) else set()
    assert set(ast.literal_eval(loaded)) <= may


def test_init_files_are_empty() -> None:
    full = [str(p.relative_to(ROOT)) for p in sources() if p.name == "__init__.py" and p.read_text().strip()]
    assert full == ["sweeper/__init__.py"]  # open_store, for notebooks


def test_the_package_of_the_sweeper_loads_nothing_heavy() -> None:
    code = f"import sys, sweeper; print([m for m in {(*HEAVY, 'pydantic')!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_files_have_one_room() -> None:
    long = {str(p.relative_to(ROOT)): n for p in sources() if (n := len(p.read_text().splitlines())) > 350}
    assert not long
