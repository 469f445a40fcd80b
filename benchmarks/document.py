"""What does every benchmark begin and end with? Its options; and one JSON object, printed as the last line.

Nothing that git tracks is written unless --write is said, which is for a full run, never for a --quick one.
"""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parent.parent / "docs"


def options(name: str, description: str | None, quick: str = "") -> argparse.ArgumentParser:
    """--write; and --quick, where there is a short form: `quick` says what it leaves out."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--write", action="store_true", help="Into benchmarks/results, and docs.")
    if quick:
        either.add_argument("--quick", action="store_true", help=quick)
    return parser


def machine() -> dict[str, Any]:
    model = next(
        (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), "unknown"
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "load": round(os.getloadavg()[0], 1),  # at the end, its own part included
    }


def finish(
    name: str,
    settings: dict[str, Any],
    rows: Sequence[dict[str, Any]],
    summary: dict[str, Any],
    *,
    write: bool,
) -> None:
    """write: into benchmarks/results, too."""
    document = {
        "name": name,
        "machine": machine(),
        "settings": settings,
        "rows": list(rows),
        "summary": summary,
    }
    if write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document), flush=True)


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
