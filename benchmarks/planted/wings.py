"""Whose tests look at a wing? Its own, then those of the wings that import it, the nearest first.

A wing is named by its folder, 'trainer/noise'; what stands beside the wings of a package, by the package. Its
tests are in the folder of that name, since tests/ mirrors the tree.
"""

from collections import defaultdict
from pathlib import Path

from tests.test_architecture import DOORS, IMPORTS, MODULES, PACKAGES, ROOT, WINGS


def wing_of(file: Path) -> str:
    """Of a path from the root of the tree."""
    package, name = file.parts[:2]
    return f"{package}/{name}" if name in WINGS.get(package, ()) else package


def lookers(wing: str) -> list[str]:
    """The wing and those that import it, directly or through others, in the order of their distance; of equal
    distance the lower one first."""
    found = [wing]
    for each in found:
        found += sorted(_IMPORTERS[each] - set(found), key=ORDER.index)
    return found


def suite_of(wing: str, file: str) -> list[str]:
    """Paths from the root of the tree; those that are named after the file come first."""
    paths = (path.relative_to(ROOT) for path in (ROOT / "tests" / wing).glob("test_*.py"))
    return [str(path) for path in sorted(paths, key=lambda path: (Path(file).stem not in path.stem, path))]


# From the ground to the top: sweeper imports trainer, and dashboard both.
ORDER = [
    each
    for package in PACKAGES
    for each in (package, *(f"{package}/{wing}" for wing in reversed(WINGS.get(package, ()))))
]


def _importers() -> dict[str, set[str]]:
    """Doors left out: they open into everything."""
    importers: dict[str, set[str]] = defaultdict(set)
    wings = {name: wing_of(path.relative_to(ROOT)) for name, path in MODULES.items() if name not in DOORS}
    for name, wing in wings.items():
        for other in IMPORTS[name]:
            if other in wings and wings[other] != wing:
                importers[wings[other]].add(wing)
    return importers


_IMPORTERS = _importers()
