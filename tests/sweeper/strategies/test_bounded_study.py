"""What a bounded study shows, beside the slow and obvious definition."""

import optuna
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from sweeper.strategies.bounded_study import BoundedStudy


@settings(deadline=None, max_examples=30)
@given(
    values=st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 9), st.integers(0, 9))), max_size=40),
    size=st.integers(2, 12),
    metrics=st.integers(1, 2),
    rebuilt=st.booleans(),
)
def test_the_best_and_the_latest_are_seen(
    values: list[tuple[int, int] | None], size: int, metrics: int, rebuilt: bool
) -> None:
    """None: a failure. The second metric is maximised."""
    storage = BoundedStudy(size)
    directions = [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE][:metrics]
    study = optuna.create_study(storage=storage, directions=directions)
    for each in values:
        if rebuilt:
            state = TrialState.FAIL if each is None else TrialState.COMPLETE
            study.add_trial(create_trial(state=state, values=None if each is None else each[:metrics]))
        else:
            trial = study.ask()
            if each is None:
                study.tell(trial, state=TrialState.FAIL)
            else:
                study.tell(trial, each[:metrics])
    good = [number for number, each in enumerate(values) if each is not None]
    share = size // 2 // metrics
    wanted: set[int] = set()
    if len(good) > size:
        for metric, sign in list(enumerate((1, -1)))[:metrics]:
            ranked = sorted(good, key=lambda number: (sign * (values[number] or (0, 0))[metric], number))
            wanted |= set(ranked[:share])
        wanted |= set([number for number in good if number not in wanted][len(wanted) - size :])
    else:
        wanted = set(good)
    assert [trial.number for trial in study.get_trials(deepcopy=False)] == sorted(wanted)
    assert len(wanted) == min(size, len(good))
