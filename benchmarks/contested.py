"""A board of known truth goes through the product: its ranking, and its race as the driver would run it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.worlds import BASELINE_SEEDS, BASELINES, Array, Board
from sweeper.results.race_record import Contest, contests
from sweeper.results.ranking import Ranked, entries_of, ranking
from sweeper.spec.sections import Settle
from sweeper.store.records import EvaluationRecord, ScoreRecord, TrialRecord

PRETRAIN = 7.5  # of a fresh seed, in fine-tunes
_APART = 100  # trial of a configuration: 100 of it, + its seed; a round's is the seed's, + 50
Place = tuple[int, int]  # configuration, seed or round


def searched(board: Board, baselines: int = BASELINES) -> list[Ranked]:
    """README's shape: baselines with three seeds, and what the search ran once."""
    again = [(c, s) for c in range(min(baselines, len(board.truth_C))) for s in range(BASELINE_SEEDS)]
    once = [(c, 0) for c in range(baselines, len(board.truth_C))]
    evaluations = evaluations_of({place: board.search_CSD[place] for place in again + once}, board.tokens_D)
    trials = trials_of(again, "baseline") + trials_of(once, "search")
    return ranking(entries_of(trials, {each.trial: each for each in evaluations}, [])).rows


class Look(NamedTuple):
    """A race once everybody who was asked for has run."""

    contest: Contest
    have: frozenset[Place]  # configuration, round

    @property
    def rounds(self) -> int:
        return max(r for _, r in self.have)

    def trainings(self, kept: int = 0) -> int:
        """kept: seeds on which the baselines ran already."""
        return sum(not (c < BASELINES and r <= kept) for c, r in self.have)

    def cost(self, kept: int = 0) -> float:
        """In fine-tunes."""
        return self.trainings(kept) + PRETRAIN * max(0, self.rounds - kept)


class Rounds:
    """The scores of one board's race, as the store would hold them."""

    def __init__(self, board: Board, found: Sequence[Ranked], settle: Settle):
        self._board, self._found, self._settle = board, found, settle
        self._tokens = board.tokens_D.tolist()
        self._values = {
            c: {"finetune.block_size": int(size)} for c, size in enumerate(board.block_size_C.tolist())
        }
        self.scores: list[ScoreRecord] = []
        self.have: set[Place] = set()

    def run(self, places: Iterable[Place]) -> None:
        for c, r in places:
            self.have.add((c, r))
            trial, nats = _APART * c + 50 + r, self._board.rounds_CRD[c, r - 1].tolist()
            self.scores.append(ScoreRecord(trial, r, "valid", 0, 0.0, 0.0, {}, {}, nats, self._tokens, 0.0))

    def contest(self) -> Contest:
        of_trial = {each.trial: each.trial // _APART for each in self.scores}
        (only,) = contests(self._found, self.scores, of_trial, self._values, self._settle)
        return only


def course(
    board: Board, found: Sequence[Ranked], settle: Settle, rounds: Rounds | None = None
) -> Iterator[Look]:
    """Look after look, until the race has ended. rounds: those that were run before."""
    rounds = rounds or Rounds(board, found, settle)
    contest = rounds.contest()
    while wanted := contest.wanted(settle):
        rounds.run(wanted)
        contest = rounds.contest()
        if contest.race is not None:
            yield Look(contest, frozenset(rounds.have))


def trials_of(places: Iterable[Place], role: str) -> list[TrialRecord]:
    return [_trial(c, s, role) for c, s in places]


def evaluations_of(nats: Mapping[Place, Array], tokens_D: Array) -> list[EvaluationRecord]:
    """Of those trials, by configuration and seed."""
    tokens = tokens_D.tolist()
    return [
        EvaluationRecord(_APART * c + s, "valid", 0, 0.0, 0.0, {}, {}, nats_D.tolist(), tokens)
        for (c, s), nats_D in nats.items()
    ]


def _trial(configuration: int, seed: int, role: str) -> TrialRecord:
    fields: dict[str, Any] = dict.fromkeys(TrialRecord._fields)
    fields |= {"id": _APART * configuration + seed, "configuration": configuration, "seed": seed}
    return TrialRecord(**fields | {"role": role, "state": "complete"})
