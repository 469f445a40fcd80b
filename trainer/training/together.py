"""Who takes a run's steps? The run itself, or all runs of its process that have its shape, as one.

Each run is a generator in a thread of its own, as ever, and knows of no other: it evaluates, saves and ends
by itself. Only its step is asked for here, where those are met that want one at the same time.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from trainer.network.captures import memory_given_back
from trainer.settings.phase import Phase
from trainer.training.fused import Fused, Taken, Untaken, problem
from trainer.training.learner import Learner, Step, diverged

MOST = 64  # runs that meet
PATIENCE = 0.02  # seconds, at least, that a step waits for runs that were here at the last one


class Alone:
    def take(self, learner: Learner, step: Step) -> tuple[float, float]:
        """As Learner.take_step."""
        return learner.take_step(step)

    def leave(self, learner: Learner) -> None:
        """It takes no step any more."""


class Rendezvous:
    """Where runs of equal shape meet. One step is taken at a time, by whoever comes last.

    Whoever was at the last step is waited for, about as long as a step takes; if it does something else, the
    others go on. Runs may be at different steps, come and go. What cannot be taken as one each takes alone,
    so that what is wrong with one fails no other. Where nothing is, there was no memory for all, most likely:
    half as many meet from then on.
    """

    def __init__(self) -> None:
        self._met = threading.Condition()
        self._groups: list[_Group] = []
        self._most = MOST

    def take(self, learner: Learner, step: Step) -> tuple[float, float]:
        """As Learner.take_step."""
        turn = _Turn(learner, step)
        with self._met:
            group = self._group_of(turn)
            group.come(turn)
            self._met.wait_for(lambda: turn.over or group.all_here, group.patience)
            if not turn.over:
                if not group.go():
                    self._most = group.size - group.size // 2
                    group.keep(self._most)
                self._met.notify_all()
        if turn.failure is not None:
            raise turn.failure
        assert turn.taken is not None
        return turn.taken

    def leave(self, learner: Learner) -> None:
        with self._met:
            for group in self._groups:
                group.leave(learner)
            self._groups = [group for group in self._groups if not group.is_empty]
            self._met.notify_all()

    def _group_of(self, turn: "_Turn") -> "_Group":
        found = next((group for group in self._groups if group.takes(turn)), None)
        if found is None:
            found = _Group(self._most)
            self._groups.append(found)
        return found


class _Turn:
    """A step that a run waits for."""

    def __init__(self, learner: Learner, step: Step):
        self.learner, self.step = learner, step
        self.taken: tuple[float, float] | None = None
        self.failure: Exception | None = None

    @property
    def over(self) -> bool:
        return self.taken is not None or self.failure is not None

    def take(self) -> None:
        """By its run alone."""
        try:
            self.taken = self.learner.take_step(self.step)
        except Exception as error:
            self.failure = error

    def end(self, taken: Taken) -> None:
        if taken.diverged:
            self.failure = diverged(self.step, *taken)
        else:
            self.taken = taken


class _Group:
    """Runs that can be trained as one, or one that cannot be trained with any."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._members: dict[Learner, Phase] = {}
        self._present: set[Learner] = set()  # at the last step, or come since
        self._waiting: list[_Turn] = []
        self._fused: Fused | None = None
        self.patience = PATIENCE

    def takes(self, turn: _Turn) -> bool:
        if turn.learner in self._members or self.is_empty:
            return True
        learner, phase = next(iter(self._members.items()))
        return self.size < self._most and None is problem([learner, turn.learner], [phase, turn.step.phase])

    def come(self, turn: _Turn) -> None:
        self._members[turn.learner] = turn.step.phase
        self._present.add(turn.learner)
        self._waiting.append(turn)

    def leave(self, learner: Learner) -> None:
        if learner in self._members:
            del self._members[learner]
            self._present.discard(learner)
            self._fused = None  # else what it leaves would be stepped, and its memory kept

    def keep(self, most: int) -> None:
        """No more from now on: those who are one too many meet others."""
        self._most = most
        for learner in list(self._members)[most:]:
            self.leave(learner)

    @property
    def size(self) -> int:
        return len(self._members)

    @property
    def is_empty(self) -> bool:
        return not self._members

    @property
    def all_here(self) -> bool:
        return self._present <= {turn.learner for turn in self._waiting}

    def go(self) -> bool:
        """The steps of all who wait. False: as one they could not be taken, each alone they could."""
        turns, self._waiting = self._waiting, []
        self._present = {turn.learner for turn in turns}
        began, untaken = time.monotonic(), False
        try:
            self._take(turns)
        except Untaken:
            untaken = True
        except Exception as error:
            for turn in turns:
                turn.failure = turn.failure or error
        if untaken:
            self._fused = None
            memory_given_back()
            for turn in turns:
                turn.take()
        self.patience = max(PATIENCE, time.monotonic() - began)
        return not untaken or any(turn.failure for turn in turns)

    def _take(self, turns: list[_Turn]) -> None:
        """Raises Untaken: nobody has taken a step. What else goes wrong is all theirs."""
        try:
            fused = self._fused_of(turns)
        except Exception as error:
            raise Untaken from error
        if fused is None:
            (turn,) = turns
            turn.take()
            return
        turn_of = {turn.learner: turn for turn in turns}
        here = [turn_of.get(learner) for learner in fused.learners]
        found = fused.take_steps([one.step if one else None for one in here])
        for one, taken in zip(here, found, strict=True):
            if one is not None and taken is not None:
                one.end(taken)

    def _fused_of(self, turns: list[_Turn]) -> Fused | None:
        """None: of one alone. Only those who wait are moved: another's tensors may be being read.

        Where a graph was captured it is used again, those who are not here standing still.
        """
        fused, here = self._fused, {turn.learner for turn in turns}
        if fused is not None and (
            here == set(fused.learners) or (fused.captures and here <= set(fused.learners))
        ):
            return fused
        if len(turns) == 1:
            return None
        self._fused = None  # what it holds for itself, before the next one is made
        self._fused = Fused([turn.learner for turn in turns], [turn.step.phase for turn in turns])
        return self._fused


_steps: Alone | Rendezvous = Alone()


def steps() -> Alone | Rendezvous:
    """Who takes the steps of the runs that begin in this process from now on."""
    return _steps


@contextmanager
def together() -> Iterator[None]:
    """Runs that begin within, in threads of this process, take their steps as one."""
    global _steps
    before, _steps = _steps, Rendezvous()
    try:
        yield
    finally:
        _steps = before
