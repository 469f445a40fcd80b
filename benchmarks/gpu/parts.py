"""What `python -m benchmarks.gpu_check` consists of; python -m benchmarks.gpu.parts NAME runs one, as JSON
lines.

No torch here: it is loaded in the process of a part.
"""

import argparse
import importlib
import json
import os
import traceback
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.gpu.scale import FULL, PRETENDED, TESTS, Row, Scale

TRAINER = ("torch", "numpy", "pydantic", "safetensors", "filelock")  # pydantic: or its stand-in


class Part(NamedTuple):
    name: str
    limit: float  # seconds
    needs: tuple[str, ...]  # packages
    module: str  # its rows(scale, which)
    which: int = 0


def parts_of(scale: Scale) -> list[Part]:
    """In the order in which they are run."""
    return [
        Part("rates", 30, ("torch", "numpy", "pydantic"), "benchmarks.gpu.rates"),
        *(
            Part(f"tests: {name}", limit, (*TRAINER, "tokenizers", "pytest"), "benchmarks.gpu.suite", which)
            for which, (name, limit) in enumerate(TESTS.items())
        ),
        *(
            Part(f"step {step.length}, {step.batch}", 70, TRAINER, "benchmarks.gpu.steps", which)
            for which, step in enumerate(scale.steps)
        ),
        Part("trials", 90, TRAINER, "benchmarks.gpu.trials"),
        Part("fused", 60, TRAINER, "benchmarks.gpu.fused"),
        Part("run", 90, (*TRAINER, "tokenizers"), "benchmarks.gpu.whole"),
    ]


def rows_of(part: Part, scale: Scale) -> Iterator[Row]:
    """What fails in between is the last row."""
    try:
        yield from importlib.import_module(part.module).rows(scale, part.which)
    except Exception as error:
        said = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        yield Row(part.name, False, said[:300], facts={"traceback": traceback.format_exc()})


def scale_of(pretend: bool, text: str | None) -> Scale:
    return (PRETENDED if pretend else FULL)._replace(text=text)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.parts", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--pretend", action="store_true")
    parser.add_argument("--text")
    given = parser.parse_args()
    scale = scale_of(given.pretend, given.text)
    part = next(each for each in parts_of(scale) if each.name == given.name)
    # Rows alone go where the check reads; what else is printed, by pytest say, to the log.
    with os.fdopen(os.dup(1), "w") as said:
        os.dup2(2, 1)
        for row in rows_of(part, scale):
            print(json.dumps({"part": part.name, **row._asdict()}, default=str), file=said, flush=True)


if __name__ == "__main__":
    main()
