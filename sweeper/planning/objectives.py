"""Which objectives does a specification train: what each emphasises, which are the same, what is published.

trainer/noise/density.py has the mathematics, docs/objectives.md the catalogue. No torch.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import chain, combinations, groupby, islice, product
from math import isclose
from pathlib import Path
from typing import Any, NamedTuple

from sweeper.spec.load import load_spec
from sweeper.spec.space import Space
from sweeper.spec.spec import SweepSpec
from trainer.config.train_config import TrainConfig
from trainer.noise.density import SAME, Density, Kind, density
from trainer.noise.reweighting import Curve
from trainer.settings.phase import Phase
from trainer.values import flatten

PUBLISHED = Path(__file__).parents[2] / "search_spaces" / "published"
PARTS = ("schedule", "clip", "reweighting", "masking", "time")  # of a phase, that shape its noise
MOST = 100  # of a space's examples that are looked at
MOST_NOTES = 12
MOST_NAMES = 5  # of one objective, that are said


class Trained(NamedTuple):
    """An objective, and how it is written."""

    name: str  # its values in words; of a published one its name
    phase: Phase
    density: Density
    block_size: int

    @property
    def kind(self) -> Kind:
        """That of its density, where masks are uniform or corrected, a token's context has its rate, and the
        loss is divided by nothing random. Of single tokens always a bound: no context of theirs is masked,
        so that every rate has the same cross-entropy. An AR term is left out: a bound of its own."""
        it = self.phase
        if not it.masking.corrected(self.block_size, it.clip) or it.loss_norm == "masked":
            return "neither"
        if self.block_size == 1:
            return "bound"
        return "neither" if it.time.per == "token" else self.density.kind

    @property
    def variance_factor(self) -> float:
        return self.density.variance_factor(self.block_size)

    def same(self, other: "Trained") -> bool:
        """Whatever the model, one mean: in blocks of one size, under masks of one kind."""
        if self.block_size != other.block_size or self.differs(other):
            return False
        if self.block_size == 1 and self.kind == other.kind == "bound":
            return isclose(self.density.total, other.density.total, rel_tol=SAME)
        return self.density.same(other.density)

    def differs(self, other: "Trained") -> list[str]:
        """The fields in which they are two objectives, whatever their densities and block sizes."""
        theirs = other._beside()
        return [field for field, value in self._beside().items() if value != theirs[field]]

    def _beside(self) -> dict[str, object]:
        """What an objective is made of besides its density."""
        it = self.phase
        token = it.time.per == "token" and self.block_size > 1
        fields = ("masking", "ar_weight", "loss_norm", "blocks")
        return {**{field: getattr(it, field) for field in fields}, "time.per": token}


def trained(config: TrainConfig, phase: str = "finetune", progress: float = 1.0) -> Trained | None:
    """None where there is no noise. progress: of the phase, where its schedule moves."""
    if not config.objective.noisy:
        return None
    it: Phase = getattr(config, phase)
    found = density(it.schedule, it.clip, it.reweighting, it.time, progress)
    return Trained(in_words(it), it, found, it.block_size)


def in_words(phase: Phase) -> str:
    """'schedule cosine, clip.low 0.3': what differs from the default; '' is not said of anything."""
    said = flatten({part: getattr(phase, part).model_dump(mode="json") for part in PARTS})
    said |= {field: getattr(phase, field) for field in ("ar_weight", "loss_norm", "complementary")}
    said |= {"blocks.name": phase.blocks.name, **flatten({"blocks": phase.blocks.model_dump(mode="json")})}
    plain = {part: type(phase).model_fields[part].default.model_dump(mode="json") for part in PARTS}
    usual = {**_own_defaults(phase), **{f"{part}.name": plain[part].get("name") for part in PARTS}}
    usual |= {"ar_weight": 0.0, "loss_norm": "tokens", "complementary": False}
    usual |= {"blocks.name": "fixed", "blocks.sizes": [], "blocks.shares": []}
    words = [
        f"{name.removesuffix('.name')} {value:g}"
        if isinstance(value, float)
        else f"{name.removesuffix('.name')} {value}"
        for name, value in said.items()
        if value != usual.get(name)
    ]
    return ", ".join(words) or "loglinear, no weight, no clip"


def _own_defaults(phase: Phase) -> dict[str, Any]:
    """Of the fields of each kind that the phase has."""
    kinds = {part: type(getattr(phase, part)) for part in PARTS}
    return {
        f"{part}.{word}": info.default
        for part, kind in kinds.items()
        for word, info in kind.model_fields.items()
    }


def objectives_of(spec: SweepSpec, phase: str = "finetune", progress: float = 1.0) -> list[Trained]:
    """The distinct ones among its baselines and points, and where its space says something of the noise."""
    entries = (*spec.always, *spec.search.points, *islice(_corners(spec.space, phase), MOST))
    runs = (spec.train_config(each, spec.search.seed) for each in entries or [{}])
    return distinct((each for each in runs if getattr(each, phase).steps), phase, progress)


def _corners(space: Space, phase: str) -> Iterator[Mapping[str, Any]]:
    """Points with every choice and every end of a range of the noise, and every two of them."""
    of_noise = {
        name: each.probes()
        for name, each in space.dimensions.items()
        if name.startswith(tuple(f"{phase}.{part}." for part in PARTS))
    }
    every = [[(name, value) for value in values] for name, values in of_noise.items()]
    wanted = [dict([one]) for values in every for one in values] or [{}]
    wanted += [dict(pair) for two in combinations(every, 2) for pair in product(*two)]
    yield from filter(None, map(space.example, wanted))


def distinct(configs: Iterable[TrainConfig], phase: str = "finetune", progress: float = 1.0) -> list[Trained]:
    found: dict[tuple[str, int], Trained] = {}
    for config in configs:
        if (one := trained(config, phase, progress)) is not None:
            found.setdefault((one.name, one.block_size), one)
    return list(found.values())


@cache
def published() -> tuple[Trained, ...]:
    """Those of search_spaces/published, in the order of their names."""
    found = []
    for file in sorted(PUBLISHED.glob("*.yaml")):
        spec = load_spec(file)
        one = trained(spec.train_config(spec.always[0], 0))
        found += [one._replace(name=file.stem)] if one else []
    return tuple(found)


def nearest(one: Trained) -> tuple[list[Trained], float]:
    """The published ones of the nearest shape, where there are any those of the same density by themselves;
    and how much of the emphasis lies elsewhere, 0 to 1."""
    apart = {each.name: one.density.distance(each.density) for each in published()}
    least = min(apart.values())
    same = [each for each in published() if one.density.same(each.density)]
    return same or [each for each in published() if apart[each.name] == least], least


def is_published(one: Trained, other: Trained) -> bool:
    """Whether it is that published one, in blocks of whatever size."""
    return one.density.same(other.density) and not one.differs(other)


def notes(spec: SweepSpec) -> list[str]:
    """What `check` warns of: two names of one objective, names that mean another thing elsewhere, infinite
    variance, times that are not corrected for."""
    found = objectives_of(spec)
    said = [note for one in found for note in _of_one(one)]
    of_noise = tuple(f"pretrain.{part}." for part in PARTS)
    if any(name.startswith(of_noise) for name in (*spec.trainer, *spec.dimensions, *chain(*spec.always))):
        said += [f"pretrain, {note}" for one in objectives_of(spec, "pretrain") for note in _of_one(one)]
    by_size = groupby(sorted(found, key=lambda one: one.block_size), key=lambda one: one.block_size)
    first = next((list(group) for _, group in by_size), [])  # the others repeat it
    left = list(first)
    while left:
        one, *rest = left
        alike = [each for each in rest if one.same(each)]
        left = [each for each in rest if each not in alike]
        if alike:
            names = [f"{each.name} (variance {each.variance_factor:.3g})" for each in (one, *alike)]
            names[MOST_NAMES:] = [f"and {len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else []
            said.append(
                f"one objective under {len(alike) + 1} names, which move its variance: {'; '.join(names)}"
            )
    return list(dict.fromkeys(said))[:MOST_NOTES]


def _covers(found: Density) -> bool:
    """Whether rates of every bin are drawn, but for the first: see SAME."""
    return bool((found.drawn_K[1:] > 0).all())


def _of_one(one: Trained) -> list[str]:
    phase, said = one.phase, []
    for part in (phase.schedule, phase.reweighting):
        if part.elsewhere:
            said.append(f"{part.name}: {part.elsewhere}")
    if isinstance(phase.reweighting, Curve) and not _covers(one.density):
        said.append(
            f"curve: it is not the density where schedule {phase.schedule.name} or the clip leaves rates out"
        )
    if one.density.infinite:
        said.append(
            f"{one.name}: the variance of its loss is infinite; a masking rate near 1 is charged so much"
        )
    if not phase.time.corrected:
        said.append(
            f"{one.name}: its times are not corrected for (importance: false), so they weigh the loss"
        )
    if phase.time.per == "token" and one.block_size > 1:
        said.append(f"{one.name}: with a time for each token no bound is trained, and no weighted one")
    return said
