"""Is a sweep that has come to its end what it should be? Each check raises a Violation in a sentence."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from sweeper.driver.event_log import PROGRESS
from sweeper.driver.failures import Damaged, Stale, Unready
from sweeper.results.race_plan import UNSCORED
from sweeper.results.ranking import best_of_search
from sweeper.spec.budget import UNITS
from sweeper.store.queries import Reader
from sweeper.store.records import ENDS, RETRIED, UNFINISHED, SweepRecord, TrialRecord
from tests.simulation import tables, trainer
from tests.simulation.drawing import Damage, StoreOlder
from tests.simulation.faults import Asleep, Fault, TakenOver
from tests.simulation.sweep import Sweep, Violation
from tests.simulation.workers import CPU, GPU, TOGETHER
from tests.sweeper.driving import told
from trainer.config.train_config import TrainConfig

DECISIONS = ("repeat", "confirm", "warm start", "score")  # events that tell of one
MOST = {each.kind: each.most for each in (Damaged, Stale, Unready)}


def check(sweep: Sweep, faults: Sequence[Fault | Damage] = ()) -> None:
    """Of a sweep that has run, with these faults."""
    with closing(Reader(sweep.url)) as reader:
        record = reader.sweep(sweep.spec.name)
        if record is None:
            raise Violation("lost", "there is no sweep")
        trials = reader.trials(record.id)
        own = [trial for trial in trials if trial.repeat_of is None]
        if sweep.endings[-1] == "ended":
            _every_trial_has_ended(record, trials)
            _as_many_as_were_asked_for(sweep, reader, record)
        not_scored = reader.trials_said(record.id, UNSCORED)
        if not any(isinstance(each, StoreOlder) for each in faults):  # it may miss what `keep` has deleted
            _scored(sweep, not_scored)
        if sweep.endings[-1] == "ended" and all(each.changes_nothing for each in faults):
            _scored_elsewhere(own, not_scored)
        _scores_are_right(reader, record, own)
        _begun_again(reader, record, own)
        _none_twice(reader, record, [trial for trial in own if trial.id not in not_scored])
        _rows(reader, record, own)
        for trial in own:
            _its_end(sweep, trial)
        _costs(sweep, reader, own, disturbed=bool(faults))
        _budget(sweep, reader, own, faults)
    _steps(sweep)
    if twice := tables.said_to_have_ended_twice(sweep.store):
        raise Violation("doubled", f"trials {twice} are said to have ended more than once")
    _tables_are_sound(sweep)


def equal(sweep: Sweep, undisturbed: Sweep) -> None:
    """In all that they end with; times, costs and attempts aside."""
    name = sweep.spec.name
    ours, theirs = told(sweep.url, name), told(undisturbed.url, name)
    ours["scores"], theirs["scores"] = _scores(sweep), _scores(undisturbed)
    ours["lines"], theirs["lines"] = _lines(sweep), _lines(undisturbed)
    for name, value in theirs.items():
        if ours[name] != value:
            difference = _first_difference(ours[name], value)
            raise Violation("wrong", f"{name} differs from the undisturbed sweep's: {difference}")


def unscored(sweep: Sweep) -> bool:
    """Whether something could not be scored: its race has run it once more."""
    return bool(tables.rows(sweep.store, "SELECT 1 FROM events WHERE kind = ?", UNSCORED))


def same(once: Sweep, again: Sweep) -> None:
    """The same seed gives the same sweep: every row of every table, times included."""
    one, other = (
        {name: [row.replace(str(sweep.place), "") for row in rows] for name, rows in sweep.tables().items()}
        for sweep in (once, again)
    )
    for name, rows in one.items():
        if rows != other[name]:
            difference = _first_difference(rows, other[name])
            raise Violation("wrong", f"the same seed gives another {name}: {difference}")


def _scores(sweep: Sweep) -> list[Any]:
    return sorted(tables.rows(sweep.store, "SELECT trial, round, nelbo, nats FROM scores"))


def _lines(sweep: Sweep) -> list[Any]:
    """What is said of a decision stands there once, as the decision does."""
    return sorted(
        row for row in tables.rows(sweep.store, "SELECT kind, text FROM events") if row[0] in DECISIONS
    )


def _first_difference(ours: Any, theirs: Any) -> str:
    if isinstance(ours, list) and isinstance(theirs, list):
        for a, b in zip(ours, theirs, strict=False):
            if a != b:
                return f"{a!r} is not {b!r}"
        return f"{len(ours)} and not {len(theirs)}"
    return f"{ours!r} is not {theirs!r}"[:2000]


def _every_trial_has_ended(record: SweepRecord, trials: list[TrialRecord]) -> None:
    if record.state not in ("complete", "failed"):
        raise Violation("hung", f"its last driver has ended, and the sweep is {record.state}")
    if left := [trial.id for trial in trials if trial.state not in ENDS or trial.ended is None]:
        raise Violation("hung", f"it has ended, and trials {left} have not")
    states = {trial.id: trial.state for trial in trials}
    for trial in trials:
        if trial.repeat_of is not None and trial.state != states[trial.repeat_of]:
            said = f"trial {trial.id} is {trial.state}, and repeats one that is {states[trial.repeat_of]}"
            raise Violation("wrong", said)
    if (record.state == "complete") != ("complete" in states.values()):
        raise Violation("wrong", f"the sweep is {record.state}, its trials {Counter(states.values())}")


def _as_many_as_were_asked_for(sweep: Sweep, reader: Reader, record: SweepRecord) -> None:
    spec, trials = sweep.spec, reader.trials(record.id)
    wanted = record.spec["search"]["trials"]
    proposed = sum(trial.number is not None and trial.repeat_of is None for trial in trials)
    tried = {trial.configuration for trial in trials if trial.number is not None}
    all_there_are = spec.search.strategy.lists or len(tried) == spec.space.size()
    if proposed > wanted or (proposed < wanted and not all_there_are):
        raise Violation("lost", f"{wanted} trials were asked for, {proposed} were proposed")
    extended = sum(int(verb.split("+")[1]) for verb, _ in sweep.asked_for if verb.startswith("extend"))
    if not spec.search.trials <= wanted <= spec.search.trials + extended:
        said = f"the search was to try {spec.search.trials} to +{extended}, its spec says {wanted}"
        raise Violation("wrong", said)
    numbers = sorted(trial.number for trial in trials if trial.number is not None)
    if numbers != list(range(len(numbers))):
        raise Violation("lost", f"its proposals are {numbers}")
    baselines = {(t.configuration, t.seed) for t in trials if t.role == "baseline"}
    if len(baselines) != len(spec.always) * spec.always_seeds * bool(spec.always):
        raise Violation("lost", f"{len(baselines)} baselines")
    if (confirm := spec.confirm) is not None and record.state == "complete":
        seeds = Counter(t.configuration for t in trials if t.role == "confirm")
        top = best_of_search(reader, record.id, confirm.top)
        grown = extended or spec != sweep.scenario.spec
        if not grown and any(seeds[each] != confirm.seeds for each in top):
            said = f"of {top}, confirmed on {confirm.seeds} seeds each, there are {dict(seeds)}"
            raise Violation("lost", said)


def _none_twice(reader: Reader, record: SweepRecord, own: list[TrialRecord]) -> None:
    """own: without those that could not be scored, which a race has run once more."""
    raced = {(trial.configuration, trial.seed) for trial in own if trial.role == "race"}
    counted = Counter(
        key
        for trial in own
        for key in [(trial.configuration, trial.seed)]
        # So has it what had come to nothing before.
        if trial.role == "race" or key not in raced or trial.state in (*UNFINISHED, "complete")
    )
    twice = [key for key, times in counted.items() if times > 1]
    if twice:
        raise Violation("doubled", f"one configuration and seed has two trials: {twice}")


def _rows(reader: Reader, record: SweepRecord, own: list[TrialRecord]) -> None:
    """They are what the trainer says, none lost, none doubled, none of another; and summed up as they are."""
    values, curves = reader.configurations(record.id), reader.curve([trial.id for trial in own], "val_ppl")
    latest = {each.trial: each for each in reader.latest(record.id) if each.name == "val_ppl"}
    ranked = {each.trial: each.step for each in reader.evaluations(record.id, "valid")}
    for trial in own:
        config = TrainConfig.from_dotted({**values[trial.configuration], "seed": trial.seed})
        expected = list(trainer.rows_of(config).items())
        found = [(int(step), value) for step, value in curves.get(trial.id, [])]
        if found != expected[: len(found)]:
            raise Violation("wrong", f"trial {trial.id} has rows {found}, the trainer said {expected}")
        if trial.state == "complete" and len(found) < len(expected):
            raise Violation("lost", f"trial {trial.id} is complete with {len(found)} of {len(expected)} rows")
        if not found:
            continue
        best, last = min(found, key=lambda row: row[1]), latest[trial.id]
        summary = ((last.step, last.value), (last.best_step, last.best))
        if summary != (found[-1], best):
            raise Violation("wrong", f"trial {trial.id} is summed up as {summary}, its rows are {found}")
        if ranked.get(trial.id) != best[0]:
            said = f"trial {trial.id} is ranked by step {ranked.get(trial.id)}, its best is {best}"
            raise Violation("wrong", said)


def _its_end(sweep: Sweep, trial: TrialRecord) -> None:
    if trial.state in ENDS and trial.ended is None and sweep.endings[-1] == "ended":
        raise Violation("hung", f"trial {trial.id} is {trial.state} and has no end")
    stage = f"pretrain {trial.stage}"
    deaths = max(sweep.lost.get(f"trial {trial.called}", 0), sweep.lost.get(stage, 0))
    if trial.state in ("failed", "lost") and deaths < 2:
        said = f"trial {trial.id} {trial.state} after {deaths} deaths of workers: {trial.error}"
        raise Violation("lost", said)
    asked = {trial for verb, trial in sweep.asked_for if verb == "stop"}
    if trial.state == "stopped" and trial.id not in asked:
        raise Violation("wrong", f"trial {trial.id} was stopped, and nobody asked")
    if trial.state == "pruned" and sweep.spec.early_stopping is None:
        raise Violation("wrong", f"trial {trial.id} was pruned, and nothing prunes")


def _begun_again(reader: Reader, record: SweepRecord, own: list[TrialRecord]) -> None:
    """Because its checkpoint was damaged or of a later attempt, or no worker was ready: a few times, unless
    it came further."""
    for trial in own:
        times = Counter[str]()
        for event in reader.events(record.id, trial.id, limit=100_000):
            times.update([event.kind] if event.kind in MOST else ())
            if event.kind in (PROGRESS, RETRIED):
                times.clear()
            if said := [kind for kind, most in MOST.items() if times[kind] > most]:
                raise Violation("repeated", f"trial {trial.id} was begun again too often: {said}")


def _scored(sweep: Sweep, unscored: set[int]) -> None:
    """What a race wants scored can be, unless its files were damaged, a worker of it died, or `keep` had
    deleted its checkpoint before somebody asked for this race."""
    whole = sorted(trial for trial in unscored if str(trial) not in sweep.damaged)
    later = any(verb.startswith("settle") for verb, _ in sweep.asked_for) or sweep.spec != sweep.scenario.spec
    deleted = later and sweep.spec.keep.best != "all"
    if whole and not deleted and not any(name.startswith("score of") for name in sweep.lost):
        raise Violation("lost", f"trials {whole} could not be scored")


def _scored_elsewhere(own: list[TrialRecord], unscored: set[int]) -> None:
    """What could not be scored is run once more, for the race."""
    runs = Counter((trial.configuration, trial.seed) for trial in own)
    for trial in own:
        if trial.id in unscored and runs[trial.configuration, trial.seed] < 2:
            raise Violation("lost", f"trial {trial.id} could not be scored, and was not run once more")


def _scores_are_right(reader: Reader, record: SweepRecord, own: list[TrialRecord]) -> None:
    """Each is of the best that its trial reported, under its round's masks."""
    values, by_id = reader.configurations(record.id), {trial.id: trial for trial in own}
    for score in reader.scores(record.id):
        trial = by_id[score.trial]
        config = TrainConfig.from_dotted({**values[trial.configuration], "seed": trial.seed})
        best = min(trainer.rows_of(config).values())
        if score.nats != trainer.nats_of(best, score.round):
            raise Violation("wrong", f"trial {trial.id} has in round {score.round} the score of another")


def _costs(sweep: Sweep, reader: Reader, own: list[TrialRecord], disturbed: bool) -> None:
    """What a trial is said to have taken, its workers took; all of it where nothing came between."""
    for trial in own:
        took, said = sweep.spent.get(f"trial {trial.called}", 0.0), trial.cpu_seconds
        if said > took + CPU / 2 or (not disturbed and said < took - CPU / 2):
            raise Violation("wrong", f"trial {trial.id} took {took} CPU seconds, {said} were written down")


def _budget(sweep: Sweep, reader: Reader, own: list[TrialRecord], faults: Sequence[Fault | Damage]) -> None:
    """Never exceeded by more than one report of each worker."""
    budget = sweep.spec.budget
    if budget is None or not own:
        return
    config = TrainConfig.from_dotted({**sweep.spec.trainer, "seed": 0})
    together = sweep.scenario.slots * max(TOGETHER)  # steps between two looks
    halted = 140.0 * sum(isinstance(each, Asleep | TakenOver) for each in faults)
    each_step = config.finetune.batch_size * config.data.length
    slack = {
        "hours": together * 10.0 + halted,
        "gpu_hours": together * GPU,
        "trials": 0,
        "tokens": sweep.scenario.slots * each_step * (config.evaluation.every + max(TOGETHER)),
    }
    drivers = reader.drivers(own[0].sweep)
    spent = {
        "hours": sum(each.seconds for each in drivers),
        "gpu_hours": sum(each.gpu_seconds for each in drivers),
        # What a stage's failure or a stop has ended was begun as well, and cost nothing.
        "trials": sum(trial.attempt > 0 and trial.cpu_seconds > 0 for trial in own),
        "tokens": sum(each.tokens for each in drivers),
    }
    for name, unit in UNITS.items():
        cap = getattr(budget, name)
        if cap is not None and spent[name] > cap * unit + slack[name]:
            raise Violation("wrong", f"of a budget of {cap:g} {name}, {spent[name] / unit:g} were spent")


def _steps(sweep: Sweep) -> None:
    """None at or before the last whole checkpoint is trained again."""
    for log in sweep.files.rglob(trainer.LOG):
        saved = 0
        for line in log.read_text().splitlines():
            what, _, step = line.split()
            if what == "save":
                saved = int(step)
            elif int(step) <= saved:
                said = f"{log.parent.name}: step {step} was trained again, {saved} was saved"
                raise Violation("repeated", said)


def _tables_are_sound(sweep: Sweep) -> None:
    if (found := tables.rows(sweep.store, "PRAGMA integrity_check")) != [("ok",)]:
        raise Violation("wrong", f"the database: {found}")
    if wrong := tables.rows(sweep.store, "PRAGMA foreign_key_check"):
        raise Violation("wrong", f"rows that refer to nothing: {wrong[:3]}")
