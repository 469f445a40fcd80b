"""What is wrong with a sweep whose parts are right by themselves: what sections say together. No torch."""

from sweeper.spec.problems import Problems
from sweeper.spec.race_counts import MOST_RACES
from sweeper.spec.spec import SweepSpec
from sweeper.strategies.samplers import SAMPLERS
from trainer.config.train_config import TrainConfig
from trainer.metrics import BY_NAME


def check_together(spec: SweepSpec, problems: Problems) -> None:
    """Adds what it finds to the problems."""
    _check_search(spec, problems)
    _check_warm_start(spec, problems)
    _check_metrics(spec, problems)
    _check_early_stopping(spec, problems)
    if spec.settle and spec.settle.by and (why := no_race_by(spec, spec.settle.by)):
        problems.add("settle.by", why)
    if spec.reference and len(spec.reference.rows) != len(spec.always):
        said = f"{len(spec.reference.rows)} rows, but `always` has {len(spec.always)} runs: one for each"
        problems.add("reference.rows", said)


def no_race_by(spec: SweepSpec, by: str) -> str:
    """Why there cannot be a race of each value of a dimension; '' where there can."""
    if by not in spec.dimensions:
        return f"{by} is no dimension of the space"
    values = spec.dimensions[by].values()
    if values is None:
        return f"{by} is a continuous range: no two rows share a value, so that nobody would race"
    if len(values) > MOST_RACES:
        return f"{by} has {len(values)} values: a race of each is for {MOST_RACES} at most"
    return ""


def _check_search(spec: SweepSpec, problems: Problems) -> None:
    search, sampler = spec.search, spec.search.strategy
    if not spec.dimensions:
        if not spec.always:
            problems.add("space", "nothing to run: neither a space nor `always` says anything")
        elif search.trials:
            problems.add("search.trials", "there is no space to search; fill `space`, or say 0")
        return
    if spec.space.size() == 0:
        problems.add("constraints", "no point of the space satisfies them")
    elif not search.trials and not spec.always and not sampler.only_points:
        problems.add("search.trials", "nothing to run: no trials, and no `always`")
    elif search.trials < len(search.points):
        said = f"{search.trials} are fewer than the {len(search.points)} points, which are all tried"
        problems.add("search.trials", said)
    if sampler.only_points and not search.points:
        said = f"missing: sampler `{sampler.name}` proposes these alone"
        problems.add("search.sampler", said, "search.points")
    if why := sampler.unfit(spec.space):
        problems.add("search.sampler", why)


def _check_warm_start(spec: SweepSpec, problems: Problems) -> None:
    at, sampler = "search.warm_start", spec.search.strategy
    if spec.search.warm_start and not sampler.learns:
        learners = " and ".join(name for name, each in SAMPLERS.items() if each.learns)
        problems.add(at, f"sampler {sampler.name} learns nothing from other sweeps; {learners} do")
    if spec.name in spec.search.warm_start:
        problems.add(at, f"{spec.name!r} is this sweep itself")


def _check_metrics(spec: SweepSpec, problems: Problems) -> None:
    for each in spec.metrics:
        setting = BY_NAME[each].measured_by
        if setting and spec.trainer.get(setting) == 0:
            problems.add("metric", f"{each} is not measured where {setting} is 0")


def _check_early_stopping(spec: SweepSpec, problems: Problems) -> None:
    """That there is an evaluation at which a trial could be ended."""
    if spec.early_stopping is None or "evaluation.every" in spec.dimensions:
        return
    at, least = "early_stopping.min_steps", spec.early_stopping.min_steps
    every = int(spec.trainer.get("evaluation.every", TrainConfig.from_dotted({}).evaluation.every))
    if least >= spec.longest:
        problems.add(at, f"{least} leaves nothing to save of a fine-tune of {spec.longest} steps")
    elif every >= spec.longest:
        said = f"a trial is ended at an evaluation, and none of every {every} steps comes before the end"
        problems.add("trainer.evaluation.every", said, at)
