"""From a file, or a text, to a sound SweepSpec; or to everything that is wrong with it, line by line."""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sweeper.spec.dry_run import DryRun
from sweeper.spec.field_errors import add_field_errors
from sweeper.spec.inputs import Inputs
from sweeper.spec.reading import Reading
from sweeper.spec.soundness import check_together
from sweeper.spec.spec import SweepSpec
from sweeper.spec.variants import apply_variants
from sweeper.spec.yaml_source import LONGEST, InvalidSpec, Problem, parse
from sweeper.strategies.samplers import SAMPLERS, Tpe

FROM_THE_LINE = "# from the command line: "  # heads each override in a stored text


def load_spec(path: Path | str, overrides: Sequence[str] = (), inputs: Inputs | None = None) -> SweepSpec:
    """Reads and checks a sweep. overrides: `key=value`, over what the file says. inputs: looks at the files
    that its runs would read; without, one that leaves none out.

    Raises InvalidSpec with every problem there is, OSError where the file cannot be read.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
    except UnicodeDecodeError as error:
        document = parse("{}", str(path))
        sentence = f"not UTF-8 text: {error.reason} at byte {error.start}"
        raise InvalidSpec([Problem(document.mark(""), "", sentence)]) from None
    return read_spec(text, str(path), path.stem, overrides, inputs)


def read_spec(
    text: str, source: str, name: str, overrides: Sequence[str] = (), inputs: Inputs | None = None
) -> SweepSpec:
    """As load_spec. source: what errors call the file; name: the sweep's, if the text has none."""
    document = parse(text, source)
    if document.problems and not document.values:
        raise InvalidSpec(document.problems)
    rest = apply_variants(document, overrides, name)
    for number, override in enumerate(rest, start=1):
        document.override(override, number)

    reading = Reading(document)
    DryRun(reading, inputs or Inputs()).check()
    search = reading.own.setdefault("search", {})
    if isinstance(search, dict):
        search["points"] = reading.points
        if "trials" not in search and (trials := _trials(search, reading)) is not None:
            search["trials"] = trials
    said = "".join(f"{FROM_THE_LINE}{override}\n" for override in overrides)
    sections = {
        "trainer": reading.fixed,
        "space": reading.dimensions,
        "constraints": [each.text for each in reading.constraints],
        "always": reading.always,
    }
    spec = None
    try:
        spec = SweepSpec.model_validate({"name": name, **reading.own, **sections, "text": said + text})
    except ValidationError as error:
        add_field_errors(error, reading.problems)
    if spec and not reading.problems.found:
        check_together(spec, reading.problems)
    if spec is None or reading.problems.found:
        raise InvalidSpec(reading.problems.found)
    return spec


def _trials(search: Mapping[str, Any], reading: Reading) -> int | None:
    """How many, where the sampler or an empty space says it."""
    if not reading.dimensions:
        return 0
    said = search.get("sampler", Tpe.name)
    length = SAMPLERS[said].length(reading.space) if isinstance(said, str) and said in SAMPLERS else None
    return None if length is None else len(reading.points) + length


def as_typed(text: str) -> tuple[list[str], str]:
    """Of a text that `read_spec` kept: the overrides of the command line, and what the file says."""
    lines = text.splitlines(keepends=True)
    overrides = [line[len(FROM_THE_LINE) :].rstrip("\n") for line in takewhile(_is_override, lines)]
    return overrides, "".join(lines[len(overrides) :])


def _is_override(line: str) -> bool:
    return line.startswith(FROM_THE_LINE)
