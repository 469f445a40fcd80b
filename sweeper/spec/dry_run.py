"""Would every run start that a specification's parts stand for, as far as they can be listed? Each is made.

Nothing that can be known then is left to fail later: every baseline, every fixed point, every choice, every
range's ends and some values between, and every pair of these, becomes a TrainConfig. No torch.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations, islice, product

from sweeper.spec.dimensions import Choice
from sweeper.spec.inputs import Inputs
from sweeper.spec.reading import Reading
from sweeper.spec.space import Space
from sweeper.spec.trainer_keys import joined, lists_of
from trainer.config.problems import InvalidConfig, Problem
from trainer.config.train_config import TrainConfig
from trainer.values import Scalar

MOST_PAIRS = 20_000  # a second's work


class DryRun:
    """Adds what it finds to the reading's problems."""

    def __init__(self, reading: Reading, inputs: Inputs):
        self._inputs = inputs
        self.reading, self.problems = reading, reading.problems
        self.space = reading.space
        self._unconstrained = Space(reading.dimensions)
        self._found: dict[str, list[Problem]] = {}  # by point: what two values come to, one often did before
        # What is wrong with the fixed values by themselves needs no example of the space to explain it.
        self._alone = {(each.key, each.sentence) for each in self._problems({})}

    def check(self) -> None:
        for i, entry in enumerate(self.reading.always):
            self._try(entry, f"always[{i}]", "")
            broken = self.space.broken(entry)
            if broken:
                self.problems.add(f"always[{i}]", f"breaks the constraint {broken.text}")
        for i, entry in enumerate(self.reading.points):
            at = f"search.points[{i}]"
            outside = self.space.problem(entry)
            if outside:
                self.problems.add(f"{at}.{outside[0]}", outside[1])
            else:
                self._try(entry, at, "")
        self._check_differ("always", self.reading.always)
        self._check_differ("search.points", self.reading.points)
        self._check_lists_have_a_run()
        if not self.space.dimensions:
            self._try({}, "trainer", "")
        if any(problem.key.startswith("constraints") for problem in self.problems.found):
            return  # what the constraint was to forbid would be tried, and blamed
        self._check_choices_differ()
        before = len(self.problems.found)
        for name, dimension in self.space.dimensions.items():
            for value in dimension.probes():
                self._try_example({name: value})
        if len(self.problems.found) == before:
            every = [[(name, value) for value in d.probes()] for name, d in self.space.dimensions.items()]
            pairs = (pair for two in combinations(every, 2) for pair in product(*two))
            for pair in islice(pairs, MOST_PAIRS):
                self._try_example(dict(pair))

    def _check_differ(self, section: str, entries: Sequence[Mapping[str, Scalar]]) -> None:
        first: dict[str, int] = {}
        for i, entry in enumerate(entries):
            values = joined(self.reading.fixed, entry)
            content = str(entry if self._problems(entry) else TrainConfig.from_dotted(values).content())
            if first.setdefault(content, i) != i:
                self.problems.add(f"{section}[{i}]", f"the same run as {section}[{first[content]}]")

    def _check_lists_have_a_run(self) -> None:
        for name, union, owners in lists_of(self.reading.fixed):
            dimension = self.space.dimensions.get(union)
            chosen = {*(dimension.probes() if dimension else [self.reading.fixed.get(union, owners[0])])}
            chosen |= {entry[union] for entry in self.reading.always if union in entry}
            if chosen.isdisjoint(owners):
                self.problems.add(
                    f"trainer.{name}", f"of no run: {union} is never {' or '.join(owners)}", name
                )

    def _check_choices_differ(self) -> None:
        """4 and '4' are two values of YAML, and one of a run."""
        for name, dimension in self.space.dimensions.items():
            first: dict[str, Scalar] = {}
            for value in dimension.probes() if isinstance(dimension, Choice) else ():
                point = self.space.example({name: value})
                point = point or {name: value}
                if not self._problems(point):
                    values = joined(self.reading.fixed, point)
                    read = str(TrainConfig.from_dotted(values).to_dotted().get(name, value))
                    if (other := first.setdefault(read, value)) is not value:
                        at = self._value_path(name, value)
                        self.problems.add(at, f"{value!r} is the same as {other!r}", name)

    def _try_example(self, wanted: Mapping[str, Scalar]) -> None:
        point = self.space.example(wanted)
        if point is not None:
            where = " and ".join(f"{name} is {value!r}" for name, value in wanted.items())
            self._try(point, f"space.{next(iter(wanted))}", where)
        elif len(wanted) == 1 and self._unconstrained.example(wanted) is None:
            (name,) = wanted
            self.problems.add(f"space.{name}.when", "never exists: its conditions exclude each other", name)

    def _try(self, point: Mapping[str, Scalar], at: str, where: str) -> None:
        """Makes the run that the point stands for; reports what is wrong with it at the place to change."""
        values = joined(self.reading.fixed, point)
        for problem in self._problems(point):
            key = problem.key if problem.key in values else self._named(problem.key)
            sentence = self._belongs(key, values) if problem.sentence == "unknown" else problem.sentence
            to_blame = "" if (problem.key, problem.sentence) in self._alone else _where(where, key)
            if key in point and at.startswith("space."):
                self.problems.add(self._value_path(key, point[key]), sentence, key)
            elif key in point:
                self.problems.add(f"{at}.{key}", sentence, key)
            else:
                itself = key in self.reading.fixed or (problem.key, problem.sentence) in self._alone
                self.problems.add(f"trainer.{key}" if itself else at, sentence + to_blame, key)

    def _problems(self, point: Mapping[str, Scalar]) -> list[Problem]:
        """Of the run that has these values over the fixed ones."""
        said = repr(point)  # which tells 1 from 1.0 and true
        if said not in self._found:
            try:
                config = TrainConfig.from_dotted(joined(self.reading.fixed, point))
                self._found[said] = self._inputs.problems(config)
            except InvalidConfig as error:
                self._found[said] = error.problems
        return self._found[said]

    def _value_path(self, name: str, value: Scalar) -> str:
        values = self.reading.document.values.get(f"space.{name}.choice")
        at = [i for i, each in enumerate(values) if each is value] if isinstance(values, list) else []
        if isinstance(values, list) and not at:
            at = [values.index(value)]
        return f"space.{name}.choice[{at[0]}]" if at else f"space.{name}"

    def _named(self, key: str) -> str:
        """The part of a key that a user knows: finetune.clip for what is wrong with its fields together."""
        known = self.reading.keys.groups | set(self.reading.keys.leaves)
        while key and key not in known:
            key = key.rpartition(".")[0]
        return key

    def _belongs(self, key: str, values: Mapping[str, Scalar]) -> str:
        """Why a right name is unknown here: its union holds another kind."""
        union = f"{key.rpartition('.')[0]}.name"
        owners = self.reading.keys.leaves.get(key, ())
        if not owners or union not in values:
            return "unknown"
        condition = owners[0] if len(owners) == 1 else f"[{', '.join(owners)}]"
        return (
            f"not a field of {values[union]}, which {union} can be; "
            f"search it, or a single choice of it, with when: {{{union}: {condition}}}"
        )


def _where(where: str, key: str) -> str:
    return f" (where {where})" if where and not where.startswith(f"{key} is") else ""
