"""From a file, or a text, to a sound SweepSpec; or to everything that is wrong with it, line by line."""

from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sweeper.shipped import find, shipped
from sweeper.spec.dry_run import DryRun
from sweeper.spec.environment import Environment
from sweeper.spec.field_errors import add_field_errors
from sweeper.spec.inputs import Inputs
from sweeper.spec.reading import Reading
from sweeper.spec.soundness import check_together
from sweeper.spec.spec import SweepSpec
from sweeper.spec.variants import apply_variants
from sweeper.spec.yaml_source import LONGEST, Document, InvalidSpec, Problem, parse
from sweeper.strategies.samplers import SAMPLERS, Tpe
from trainer.disk import open_file

EXTENDS = "extends"
LONGEST_CHAIN = 8  # of files that extend each other
FROM_THE_LINE = "# from the command line: "  # heads each override in a stored text


def load_spec(
    path: Path | str,
    overrides: Sequence[str] = (),
    inputs: Inputs | None = None,
    environment: Environment | None = None,
) -> SweepSpec:
    """Reads and checks a sweep. overrides: `key=value`, over what the file says. inputs: looks at the files
    that its runs would read; without, one that leaves none out. environment: fills in `${NAME}`; this
    process's, if not said.

    Raises InvalidSpec with every problem there is, OSError where the file cannot be read.
    """
    path = Path(path)
    return read_spec(_read(path), str(path), path.stem, overrides, inputs, environment)


def read_spec(
    text: str,
    source: str,
    name: str,
    overrides: Sequence[str] = (),
    inputs: Inputs | None = None,
    environment: Environment | None = None,
) -> SweepSpec:
    """As load_spec. source: what errors call the file; name: the sweep's, if the text has none."""
    environment = environment or Environment()
    document = parse(text, source, environment=environment)
    if document.problems and not document.values:
        raise InvalidSpec(document.problems)
    text += _extend(document, Path(source), environment, (Path(source).resolve(),))
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
        found = {"name": name, **reading.own, **sections, "text": said + text}
        if environment.used:
            found["environment"] = environment.used
        spec = SweepSpec.model_validate(found)
    except ValidationError as error:
        add_field_errors(error, reading.problems)
    if spec and not reading.problems.found:
        check_together(spec, reading.problems)
    if spec is None or reading.problems.found:
        raise InvalidSpec(reading.problems.found)
    return spec


def _read(path: Path) -> str:
    try:
        with TextIOWrapper(open_file(path), encoding="utf-8") as file:
            return file.read(LONGEST + 1)
    except UnicodeDecodeError as error:
        document = parse("{}", str(path))
        sentence = f"not UTF-8 text: {error.reason} at byte {error.start}"
        raise InvalidSpec([Problem(document.mark(""), "", sentence)]) from None


def _extend(document: Document, source: Path, environment: Environment, chain: tuple[Path, ...]) -> str:
    """Puts under the document what it `extends`, but for the name; returns that text, as comments."""
    said = document.values.pop(EXTENDS, None)
    if said is None:
        return ""
    if not isinstance(said, str):
        document.problem(EXTENDS, "must be another specification: extends: other.yaml")
        return ""
    # Beside the file, else one that comes with the program: where it was installed nobody need know.
    path = find(source.parent / said) or shipped().get(said) or source.parent / said
    if path.resolve() in chain:
        document.problem(EXTENDS, f"{said} extends this file in its turn")
        return ""
    if len(chain) >= LONGEST_CHAIN:
        document.problem(EXTENDS, f"more than {LONGEST_CHAIN} files extend each other")
        return ""
    try:
        text = _read(path)
    except OSError as error:
        document.problem(EXTENDS, f"{path} cannot be read: {error.strerror}")
        return ""
    base = parse(text, str(path), environment=environment)
    text += _extend(base, path, environment, (*chain, path.resolve()))
    base.values.pop("name", None)
    document.over(base)
    return f"\n# extends {said}:\n" + "".join(f"# {line}\n" for line in text.splitlines())


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
