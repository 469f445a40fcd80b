"""From a YAML document to the parts of a sweep, with everything that is wrong with it. No torch.

What the values say together, sweeper/spec/dry_run.py finds out.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sweeper.spec.constraints import BadConstraint, Constraint
from sweeper.spec.space import KINDS, ConditionCycle, Dimension, Space
from sweeper.spec.yaml_source import Document, Problem
from trainer.config.names import did_you_mean, nearest, spelt_out, train_names
from trainer.values import Scalar, nest

# SweepSpec's own fields check these.
OWN = (
    "name",
    "metric",
    "always_seeds",
    "search",
    "early_stopping",
    "replicates",
    "confirm",
    "budget",
    "resources",
    "keep",
    "reference",
)
SECTIONS = (*OWN, "trainer", "space", "constraints", "always")
INSIDE = ("search.sampler", "search.trials", "search.points", "search.warm_start")  # said by mistake outside
GROUPS = (
    *("trainer", "space", "search", "early_stopping", "confirm", "budget"),
    "resources",
    "keep",
    "reference",
)
LISTS = ("always",)
MUST_BE_A_LIST = "must be a list of runs: [{key: value, ...}, ...]"
NOT_YET = (
    "resources.pack",
    "resources.packing",
)
NOT_SEARCHED = {
    "data": "rows measured on different text cannot be compared",
    "evaluation": "rows measured in different ways cannot be compared",
    "samples": "text drawn in different ways cannot be compared",
    "compute": "trials computed in different ways cannot be compared",
    "seed": "trials share search.seed, so that their rows can be compared; always_seeds is for baselines",
    "accumulate": "it does not move a result",
    "checkpoint": "it does not move a result",
    "log_every": "it does not move a result",
}
# In `always` alone: each kind of model has samplers of its own.
OF_ITS_KIND = "samples.sampler."
HOW_TO_VARY = "{choice: [...]}, or uniform, log_uniform, int or log_int with [low, high]"


class Reading:
    """own, fixed, dimensions, always and points hold what is right; problems what is not."""

    def __init__(self, document: Document):
        self.document = document
        self.problems = [
            each._replace(key=each.key.removeprefix("trainer.").removeprefix("space."))
            for each in document.problems
        ]
        self.names = train_names()
        self._reported: set[tuple[Any, str]] = set()
        self._spoilt: set[str] = (
            set()
        )  # space keys with a problem of their own: conditions on them are not to blame

        sections = self._sections()
        self.own: dict[str, Any] = nest(self._own(sections))
        self.fixed = self._fixed(sections["trainer"])
        self.dimensions = self._dimensions(sections["space"])
        self._check_conditions()
        self._check_circles()
        self.always = self._entries("always", sections["always"].get("", []))
        self.points = self._entries("search.points", sections["search"].get("points", []))
        self.constraints = self._constraints(sections["constraints"])
        self.space = Space(self.dimensions, self.constraints, self.fixed)

    def problem(self, path: str, key: str, sentence: str) -> None:
        """path: where in the document; key: what the user calls it. One problem for each key and place."""
        if any(each.key == path for each in self.document.problems):
            return  # it could not even be read, which has been said
        mark = self.document.mark(path)
        if (mark, key) not in self._reported:
            self._reported.add((mark, key))
            self.problems.append(Problem(mark, key, sentence))

    # --- the sections ----------------------------------------------------------------------
    def _sections(self) -> dict[str, dict[str, Any]]:
        sections: dict[str, dict[str, Any]] = defaultdict(dict)
        for path, value in self.document.values.items():
            top, _, rest = path.partition(".")
            later = next((key for key in NOT_YET if path == key or path.startswith(f"{key}.")), None)
            if later:
                self.problem(later, later, "not available in this version")
            elif top not in SECTIONS:
                wrong, meant = top, nearest(top, [*SECTIONS, *INSIDE])
                if path in self.names.leaves:
                    wrong, meant = path, f"trainer.{path}"
                self.problem(wrong, wrong, f"unknown{did_you_mean(meant)}")
            elif not rest and top in ("trainer", "space") and value not in (None, {}):
                self.problem(top, top, f"must be a group of `name: value` lines, not {value!r}")
            elif rest and top in LISTS:
                self.problem(top, top, MUST_BE_A_LIST)
            elif rest or top not in GROUPS or value not in (None, {}):
                sections[top][rest] = value
        return sections

    def _own(self, sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        values = {f"{top}.{rest}".rstrip("."): v for top in OWN for rest, v in sections[top].items()}
        values.pop("search.points", None)
        return values

    def _is_field(self, path: str, name: str) -> bool:
        """Whether name is a field of TrainConfig; path ends with it, and says where it stands."""
        if name in self.names.leaves:
            return True
        wrong = self.names.unknown(name)
        at = path[: len(path) - len(name) + len(wrong)]
        if wrong in self.names.groups:
            fields = [each for each in self.names.leaves if each.startswith(f"{wrong}.")]
            self.problem(at, wrong, f"a group of values ({', '.join(fields[:3])}, ...), not a value")
            return False
        meant = self.names.nearest(name)
        self.problem(at, wrong, f"unknown{did_you_mean(meant)}")
        if meant:
            self._spoilt.add(meant + name[len(wrong) :])
        return False

    def _fixed(self, trainer: Mapping[str, Any]) -> dict[str, Any]:
        fixed = {}
        for short, value in trainer.items():
            name = spelt_out(short, value)
            if name == "seed":
                self.problem("trainer.seed", name, "say search.seed: trials take their seed from it")
            elif not (value == {} and name in self.names.groups) and self._is_field(f"trainer.{name}", name):
                fixed[name] = value
        return fixed

    def _is_searched(self, path: str, name: str) -> bool:
        reason = NOT_SEARCHED.get(name.split(".")[0])
        if reason:
            self.problem(path, name, f"cannot be searched: {reason}")
        return not reason

    def _entries(self, section: str, entries: Any) -> list[dict[str, Scalar]]:
        """`always` or `search.points`: a list of runs, each {field: value}."""
        if not isinstance(entries, list):
            self.problem(section, section, MUST_BE_A_LIST)
            return []
        kept = []
        for i, entry in enumerate(entries):
            at = f"{section}[{i}]"
            if not isinstance(entry, dict):
                got = "nothing" if entry is None else repr(entry)
                self.problem(at, at, f"must be {{key: value}}, not {got}")
                continue
            entry = {spelt_out(name, value): value for name, value in entry.items()}
            good = [name for name in entry if self._is_field(f"{at}.{name}", name)]
            own = [name for name in good if section == "always" and name.startswith(OF_ITS_KIND)]
            said = [name for name in good if name in own or self._is_searched(f"{at}.{name}", name)]
            kept.append({name: entry[name] for name in said})
        return kept

    # --- the space -------------------------------------------------------------------------
    def _dimensions(self, section: Mapping[str, Any]) -> dict[str, Any]:
        parts: dict[str, dict[str, Any]] = defaultdict(dict)
        for path, value in section.items():
            words = path.split(".")
            starts = (".".join(words[: i + 1]) for i in range(len(words)))
            name = next((start for start in starts if start in self.names.leaves), None)
            if name:
                parts[name][path[len(name) + 1 :]] = value
            else:
                self._is_field(f"space.{path}", path)
        made = {}
        for name, part in parts.items():
            if not self._is_searched(f"space.{name}", name):
                continue
            dimension = self._dimension(name, part)
            if name in self.fixed:
                self.problem(f"space.{name}", name, "searched here and fixed under trainer; say it once")
            elif dimension:
                made[name] = dimension
            else:
                self._spoilt.add(name)
        return made

    def _dimension(self, name: str, part: dict[str, Any]) -> Dimension | None:
        at = f"space.{name}"
        conditions = {key.removeprefix("when."): v for key, v in part.items() if key.startswith("when.")}
        if part.get("when") not in (None, {}):
            self.problem(f"{at}.when", f"{name}.when", "must be {key: value} or {key: [values]}")
            return None
        kinds = [key for key in part if key in KINDS]
        for word in part:
            if word and word not in KINDS and word.split(".")[0] != "when":
                meant = did_you_mean(nearest(word, [*KINDS, "when"]))
                self.problem(f"{at}.{word}", f"{name}.{word}", f"unknown{meant}")
                return None
        if len(kinds) != 1:
            said = f"give one of {' and '.join(kinds)}" if kinds else f"say how to vary it: {HOW_TO_VARY}"
            self.problem(at, name, said)
            return None
        (kind,) = kinds
        try:
            return KINDS[kind].model_validate({kind: part[kind], "when": conditions})
        except ValidationError as error:
            for each in error.errors():
                self._dimension_problem(at, name, kind, part[kind], each)
            return None

    def _dimension_problem(self, at: str, name: str, kind: str, given: Any, error: Any) -> None:
        field, *rest = error["loc"] or (kind,)
        if field == "when":
            self.problem(f"{at}.when", f"{name}.when", "must be {key: value} or {key: [values]}, not empty")
        elif error["type"] == "value_error":
            self.problem(f"{at}.{kind}", name, f"{kind} {error['ctx']['error']}")
        elif isinstance(given, list) and not given and kind == "choice":
            self.problem(f"{at}.{kind}", name, "an empty choice: there is nothing to try")
        elif not isinstance(given, list) or (kind != "choice" and len(given) != 2):
            wanted = "[value, ...]" if kind == "choice" else "[low, high]"
            self.problem(f"{at}.{kind}", name, f"{kind} needs {wanted}, got {given!r}")
        else:
            i = rest[0] if rest else 0
            rule = (
                "must be a plain value" if kind == "choice" else error["msg"].replace("Input should", "must")
            )
            self.problem(f"{at}.{kind}[{i}]", name, f"{rule}, got {given[int(i)]!r}")

    def _check_conditions(self) -> None:
        for name in list(self.dimensions):
            for key, allowed in self.dimensions[name].when.items():
                path = f"space.{name}.when.{key}"
                sentence = None
                if self._is_spoilt(key):
                    del self.dimensions[name]
                    break
                if key not in self.names.leaves:
                    sentence = (
                        f"when: {self.names.unknown(key)} is unknown{did_you_mean(self.names.nearest(key))}"
                    )
                elif key in self.dimensions:
                    values = self.dimensions[key].values()
                    if values is None:
                        sentence = (
                            f"when: {key} is a continuous range; only a choice or an int can be a condition"
                        )
                    else:
                        sentence = _never(key, [value for value in allowed if value not in values], values)
                elif key in self.fixed:
                    sentence = _never(key, [v for v in allowed if v != self.fixed[key]], [self.fixed[key]])
                else:
                    sentence = f"when: {key} is neither in the space nor fixed under trainer"
                if sentence:
                    self.problem(path, name, sentence)
                    self._spoilt.add(name)
                    del self.dimensions[name]
                    break

    def _constraints(self, section: Mapping[str, Any]) -> list[Constraint]:
        if not section:
            return []
        texts = section.get("")
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            said = "must be a list of comparisons in quotes: ['finetune.clip.low < finetune.clip.high']"
            self.problem("constraints", "constraints", said)
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
                self.problem(at, at, str(error))
        return kept

    def _is_about_the_space(self, constraint: Constraint, at: str) -> bool:
        for name in constraint.names:
            if self._is_spoilt(name):
                return False
            if name not in self.names.leaves:
                said = f"{self.names.unknown(name)} is unknown{did_you_mean(self.names.nearest(name))}"
                self.problem(at, at, said)
                return False
            if name not in self.dimensions and name not in self.fixed:
                self.problem(at, at, f"{name} is neither in the space nor fixed under trainer")
                return False
        if constraint.names and not any(name in self.dimensions for name in constraint.names):
            self.problem(at, at, f"{constraint.text!r} is about nothing that is searched")
            return False
        return True

    def _some(self, name: str) -> list[Scalar]:
        """Values that the name may have: of every kind that there is."""
        return list(self.dimensions[name].probes()) if name in self.dimensions else [self.fixed[name]]

    def _is_spoilt(self, key: str) -> bool:
        """Whether something is wrong with the key itself, a misspelt choice included."""
        kinds = self.names.kinds.get(key)
        choices = self.dimensions[key].values() if kinds and key in self.dimensions else None
        misspelt = bool(kinds and choices and not set(choices) <= set(kinds))
        return misspelt or any(f"{each}.".startswith(f"{key}.") for each in self._spoilt)

    def _check_circles(self) -> None:
        while True:
            try:
                Space(self.dimensions)
                return
            except ConditionCycle as error:
                first = min(error.names)
                self.problem(f"space.{first}.when", first, str(error))
                for name in set(error.names):
                    del self.dimensions[name]
                self._spoilt.update(error.names)
                self._check_conditions()  # what depends on them goes with them


def _never(key: str, strange: list[Any], values: Any) -> str | None:
    if not strange:
        return None
    shown = ", ".join(str(value) for value in list(values)[:8])
    meant = did_you_mean(nearest(str(strange[0]), [str(value) for value in values]))
    return f"when: {key} is never {strange[0]!r}, only {shown}{meant}"
