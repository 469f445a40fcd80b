"""What is there: packages, the card, a compiler. Without torch, so it takes no time."""

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from benchmarks.gpu.scale import Row

PATIENCE = 4  # seconds
# The module, then the distribution where it has another name.
PACKAGES = {"torch": "torch", "numpy": "numpy", "pydantic": "pydantic", "filelock": "filelock"} | {
    each: each for each in ("safetensors", "tokenizers", "pytest", "scipy", "triton")
}
QUERY = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]


def missing(packages: Iterable[str]) -> list[str]:
    return [each for each in packages if find_spec(each) is None]


def rows(skipped: dict[str, list[str]]) -> Iterator[Row]:
    """skipped: by package, the parts that are not run without it."""
    yield Row("python", None, sys.version.split()[0])
    yield Row("card", _card() is not None, _card() or "none that nvidia-smi knows", "a GPU")
    for module, name in PACKAGES.items():
        parts = skipped.get(module, [])
        if missing([module]):
            found = f"missing; skipped without it: {', '.join(parts)}" if parts else "missing"
            yield Row(module, not parts, found, "there" if parts else "")
        else:
            yield Row(module, None, _version(name))
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    yield Row("C compiler", None, compiler or "none: torch.compile and FlexAttention need one")
    for module, what in (("flash_attn", "flash-attn"), ("pynvml", "NVML for Python")):
        yield Row(what, None, "missing" if missing([module]) else "there")
    yield Row("MPS", None, shutil.which("nvidia-cuda-mps-control") or "missing")


def _card() -> str | None:
    try:
        done = subprocess.run(QUERY, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "a stand-in of benchmarks/bare" if name == "pydantic" else "there"
