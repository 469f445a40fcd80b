"""What do `space` and `constraints` say, and what is wrong with it? No torch."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from sweeper.spec.constraints import BadConstraint, Constraint
from sweeper.spec.dimensions import BESIDE, KINDS
from sweeper.spec.problems import Problems
from sweeper.spec.space import ConditionCycle, Space
from sweeper.spec.trainer_keys import TrainerKeys
from trainer.config.problems import rule
from trainer.nearest import did_you_mean, nearest
from trainer.values import Scalar

HOW_TO_VARY = "{choice: [...]}, or uniform, log_uniform, int or log_int with [low, high]"
OF_CONDITIONS = "must be {key: value} or {key: [values]}"
OF_CONSTRAINTS = "must be a list of comparisons in quotes: ['finetune.clip.low < finetune.clip.high']"


class SpaceSection:
    """dimensions hold what is right."""

    def __init__(
        self, section: Mapping[str, Any], fixed: Mapping[str, Any], keys: TrainerKeys, problems: Problems
    ):
        """fixed: what stands under `trainer`."""
        self._fixed, self._keys, self._problems = fixed, keys, problems
        self.dimensions = self._dimensions(section)
        self._check_conditions()
        self._check_cycles()

    # --- dimensions --------------------------------------------------------------------------
    def _dimensions(self, section: Mapping[str, Any]) -> dict[str, Any]:
        parts: dict[str, dict[str, Any]] = defaultdict(dict)
        for path, value in section.items():
            words = path.split(".")
            starts = (".".join(words[: i + 1]) for i in range(len(words)))
            name = next((start for start in starts if start in self._keys.leaves), None)
            if name:
                parts[name][path[len(name) + 1 :]] = value
            else:
                self._keys.is_field(f"space.{path}", path)
        made = {}
        for name, part in parts.items():
            if not self._keys.is_searchable(f"space.{name}", name):
                continue
            dimension = _dimension(name, part, self._problems)
            if name in self._fixed:
                said = "searched here and fixed under trainer; say it once"
                self._problems.add(f"space.{name}", said, name)
            elif dimension:
                made[name] = dimension
            else:
                self._keys.invalid.add(name)
        return made

    # --- conditions --------------------------------------------------------------------------
    def _check_conditions(self) -> None:
        """A dimension goes whose condition is wrong, or is about something that is."""
        for name in list(self.dimensions):
            for key, allowed in self.dimensions[name].when.items():
                invalid = self._is_invalid(key)
                sentence = "" if invalid else self._never_holds(key, allowed)
                if sentence:
                    self._problems.add(f"space.{name}.when.{key}", f"when: {sentence}", name)
                    self._keys.invalid.add(name)
                if invalid or sentence:
                    del self.dimensions[name]
                    break

    def _never_holds(self, key: str, allowed: Iterable[Scalar]) -> str:
        """'' where the condition may hold; else why it cannot."""
        if unknown := self._keys.unknown(key):
            return unknown
        if key in self.dimensions:
            values = self.dimensions[key].values()
            if values is None:
                return f"{key} is a continuous range; only a choice or an int can be a condition"
        elif key in self._fixed:
            values = [self._fixed[key]]
        else:
            return f"{key} is neither in the space nor fixed under trainer"
        strange = [value for value in allowed if value not in values]
        if not strange:
            return ""
        shown = ", ".join(str(value) for value in list(values)[:8])
        meant = did_you_mean(nearest(str(strange[0]), [str(value) for value in values]))
        return f"{key} is never {strange[0]!r}, only {shown}{meant}"

    def _check_cycles(self) -> None:
        while True:
            try:
                Space(self.dimensions)
                return
            except ConditionCycle as error:
                first = min(error.names)
                self._problems.add(f"space.{first}.when", str(error), first)
                for name in set(error.names):
                    del self.dimensions[name]
                self._keys.invalid.update(error.names)
                self._check_conditions()  # what depends on them goes with them

    def _is_invalid(self, name: str) -> bool:
        """Whether something is wrong with the name itself, a misspelt choice included."""
        kinds = self._keys.kinds.get(name)
        choices = self.dimensions[name].values() if kinds and name in self.dimensions else None
        misspelt = bool(kinds and choices and not set(choices) <= set(kinds))
        return misspelt or self._keys.is_invalid(name)

    # --- constraints -------------------------------------------------------------------------
    def constraints(self, section: Mapping[str, Any]) -> list[Constraint]:
        """section: `constraints`. Those that are right."""
        if not section:
            return []
        texts = section.get("")
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            self._problems.add("constraints", OF_CONSTRAINTS)
            return []
        kept = []
        for i, text in enumerate(texts):
            at = f"constraints[{i}]"
            try:
                constraint = Constraint(text)
                if self._is_about_the_space(constraint, at):
                    constraint.check({name: self._some(name) for name in constraint.names})
                    kept.append(constraint)
            except BadConstraint as error:
                self._problems.add(at, str(error))
        return kept

    def _is_about_the_space(self, constraint: Constraint, at: str) -> bool:
        for name in constraint.names:
            if self._is_invalid(name):
                return False
            sentence = self._keys.unknown(name)
            if not sentence and name not in self.dimensions and name not in self._fixed:
                sentence = f"{name} is neither in the space nor fixed under trainer"
            if sentence:
                self._problems.add(at, sentence)
                return False
        if constraint.names and not any(name in self.dimensions for name in constraint.names):
            self._problems.add(at, f"{constraint.text!r} is about nothing that is searched")
            return False
        return True

    def _some(self, name: str) -> list[Scalar]:
        """Values that the name may have: of every kind that there is."""
        return list(self.dimensions[name].probes()) if name in self.dimensions else [self._fixed[name]]


def _dimension(name: str, part: Mapping[str, Any], problems: Problems) -> Any:
    """part: what stands below the name. None where it is wrong."""
    at = f"space.{name}"
    conditions = {key.removeprefix("when."): v for key, v in part.items() if key.startswith("when.")}
    if part.get("when") not in (None, {}):
        problems.add(f"{at}.when", OF_CONDITIONS, f"{name}.when")
        return None
    kinds = [key for key in part if key in KINDS]
    for word in part:
        if word == "step" and "int" not in kinds:
            said = "only int has steps: {int: [low, high], step: 4}"
            problems.add(f"{at}.step", said, f"{name}.step")
            return None
        if word and word not in KINDS and word.split(".")[0] not in BESIDE:
            meant = did_you_mean(nearest(word, [*KINDS, *BESIDE]))
            problems.add(f"{at}.{word}", f"unknown{meant}", f"{name}.{word}")
            return None
    if len(kinds) != 1:
        said = f"give one of {' and '.join(kinds)}" if kinds else f"say how to vary it: {HOW_TO_VARY}"
        problems.add(at, said, name)
        return None
    (kind,) = kinds
    try:
        steps = {"step": part["step"]} if "step" in part else {}
        return KINDS[kind].model_validate({kind: part[kind], "when": conditions, **steps})
    except ValidationError as error:
        for each in error.errors():
            problems.add(*_in_words(at, name, kind, part[kind], each))
        return None


def _in_words(at: str, name: str, kind: str, given: Any, error: Any) -> tuple[str, str, str]:
    """Path, sentence and key of one of Pydantic's errors."""
    field, *rest = error["loc"] or (kind,)
    if field == "step":
        return f"{at}.step", f"step must be a whole number above 0, got {error['input']!r}", name
    if field == "when":
        return f"{at}.when", f"{OF_CONDITIONS}, not empty", f"{name}.when"
    if error["type"] == "value_error":
        return f"{at}.{kind}", f"{kind} {error['ctx']['error']}", name
    if isinstance(given, list) and not given and kind == "choice":
        return f"{at}.{kind}", "an empty choice: there is nothing to try", name
    if not isinstance(given, list) or (kind != "choice" and len(given) != 2):
        wanted = "[value, ...]" if kind == "choice" else "[low, high]"
        return f"{at}.{kind}", f"{kind} needs {wanted}, got {given!r}", name
    i = rest[0] if rest else 0
    wanted = "must be a plain value" if kind == "choice" else rule(error)
    return f"{at}.{kind}[{i}]", f"{wanted}, got {given[int(i)]!r}", name
