"""What every benchmark ends with: one JSON object, printed as the last line and kept in a file."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


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
    name: str, settings: dict[str, Any], rows: Sequence[dict[str, Any]], summary: dict[str, Any], keep: bool
) -> None:
    """keep: into benchmarks/results; of a full run alone, never of --quick."""
    document = {
        "name": name,
        "machine": machine(),
        "settings": settings,
        "rows": list(rows),
        "summary": summary,
    }
    if keep:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document), flush=True)


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
