"""From a YAML document to the parts of a sweep, with everything that is wrong with each. No torch.

What the values say together, sweeper/spec/dry_run.py and sweeper/spec/soundness.py find out.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sweeper.spec.problems import Problems
from sweeper.spec.sections import SECTIONS
from sweeper.spec.space import Space
from sweeper.spec.space_section import SpaceSection
from sweeper.spec.spec import SweepSpec
from sweeper.spec.trainer_keys import TrainerKeys
from sweeper.spec.yaml_source import Document
from trainer.config.names import spelt_out
from trainer.nearest import did_you_mean, nearest
from trainer.values import Scalar, nest

READ_HERE = ("trainer", "space", "constraints", "always")
MADE = ("environment",)  # nobody says it
# Those that SweepSpec's own fields check.
OWN = tuple(
    word
    for name, field in SweepSpec.model_fields.items()
    if not field.exclude and (word := field.alias or name) not in (*READ_HERE, *MADE)
)
GROUPS = ("trainer", "space", "early_stopping", *SECTIONS)
INSIDE = ("search.sampler", "search.trials", "search.points", "search.warm_start")  # said by mistake outside
# Of these an empty one is read: settle has its defaults, the others say what is missing.
READ_IF_EMPTY = ("early_stopping", "confirm", "settle", "budget", "reference", "notify")
MUST_BE_A_LIST = "must be a list of runs: [{key: value, ...}, ...]"
NOT_YET = ("resources.pack", "resources.packing")
# In `always` alone: each kind of model has samplers of its own.
OF_ITS_KIND = "samples.sampler."


class Reading:
    """own, fixed, dimensions, constraints, always and points hold what is right; problems what is not."""

    def __init__(self, document: Document):
        self.document = document
        self.problems = Problems(document)
        self.keys = TrainerKeys(self.problems)

        sections = self._sections()
        self.own: dict[str, Any] = nest(_own(sections))
        self.own |= {top: {} for top in READ_IF_EMPTY if sections[top] == {"": {}}}
        self.fixed = self._fixed(sections["trainer"])
        space = SpaceSection(sections["space"], self.fixed, self.keys, self.problems)
        self.dimensions = space.dimensions
        self.always = self._entries("always", sections["always"].get("", []))
        self.points = self._entries("search.points", sections["search"].get("points", []))
        self.constraints = space.constraints(sections["constraints"])
        self.space = Space(self.dimensions, self.constraints, self.fixed)

    def _sections(self) -> dict[str, dict[str, Any]]:
        sections: dict[str, dict[str, Any]] = defaultdict(dict)
        for path, value in self.document.values.items():
            top, _, rest = path.partition(".")
            later = next((key for key in NOT_YET if path == key or path.startswith(f"{key}.")), None)
            if later:
                self.problems.add(later, "not available in this version")
            elif top not in (*OWN, *READ_HERE):
                wrong, meant = top, nearest(top, [*OWN, *READ_HERE, *INSIDE])
                if top in self.keys.groups and (near := self.keys.nearest(path)):
                    wrong, meant = path, f"trainer.{near}"
                self.problems.add(wrong, f"unknown{did_you_mean(meant)}")
            elif not rest and top in ("trainer", "space") and value not in (None, {}):
                self.problems.add(top, f"must be a group of `name: value` lines, not {value!r}")
            elif rest and top == "always":
                self.problems.add(top, MUST_BE_A_LIST)
            elif path.startswith("search.points."):
                self.problems.add("search.points", MUST_BE_A_LIST)
            elif rest or top not in GROUPS or value not in ((None,) if top in READ_IF_EMPTY else (None, {})):
                sections[top][rest] = value
        return sections

    def _fixed(self, trainer: Mapping[str, Any]) -> dict[str, Any]:
        fixed = {}
        for short, value in trainer.items():
            name = spelt_out(short, value)
            if name == "seed":
                self.problems.add("trainer.seed", "say search.seed: trials take their seed from it", name)
            elif value == {} and name in self.keys.groups:
                continue
            elif self.keys.is_field(f"trainer.{name}", name):
                fixed[name] = value
        return fixed

    def _entries(self, section: str, entries: Any) -> list[dict[str, Scalar]]:
        """`always` or `search.points`: a list of runs, each {field: value}."""
        if not isinstance(entries, list):
            self.problems.add(section, MUST_BE_A_LIST)
            return []
        kept = []
        for i, entry in enumerate(entries):
            at = f"{section}[{i}]"
            if not isinstance(entry, dict):
                got = "nothing" if entry is None else repr(entry)
                self.problems.add(at, f"must be {{key: value}}, not {got}")
                continue
            entry = {spelt_out(name, value): value for name, value in entry.items()}
            good = [name for name in entry if self.keys.is_field(f"{at}.{name}", name)]
            own = [name for name in good if section == "always" and name.startswith(OF_ITS_KIND)]
            said = [name for name in good if name in own or self.keys.is_searchable(f"{at}.{name}", name)]
            kept.append({name: entry[name] for name in said})
        return kept


def _own(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    values = {f"{top}.{rest}".rstrip("."): v for top in OWN for rest, v in sections[top].items()}
    values.pop("search.points", None)
    return values
