"""python -m benchmarks.recipe [--quick] [--place FOLDER] [--write]: does the README's sweep answer again?

Runs search_spaces/schedules.yaml with each precision, number of slots and search seed, in one store, so that
pretrains are shared; then all rows that raced, on seeds that no race has seen (the joint re-run, in
float32; a race whose rows an earlier one has is held against that). Printed are, of each sweep, its first
row's block size, its best row beside the add-one bigram, the CPU-seconds of all its processes, and its
answers; of each answer, whether the joint re-run contradicts its bound: whether the 95% interval of the
difference of the row to be taken to another raced one lies wholly above what it was said to lose at most. A
run that was cut off goes on; one that has ended is only read again."""

import hashlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.document import finish, options
from benchmarks.metering import metered
from sweeper.results.answer import Answer
from sweeper.results.compare import compare
from sweeper.results.leaderboard import Board, leaderboard
from sweeper.results.race_record import Contest
from sweeper.results.row import Row
from sweeper.spec.load import load_spec
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord

SPEC = Path(__file__).parent.parent / "search_spaces" / "schedules.yaml"
PRECISIONS, SLOTS, SEEDS = ("float32", "bfloat16"), (1, 2), (0, 1, 2)
JOINT_SEEDS = 8
JOINT = ["search.seed=100", "trainer.compute.precision=float32"]  # fresh seeds
SEARCHED = tuple(load_spec(SPEC).space.dimensions)


class Variation(NamedTuple):
    precision: str
    slots: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.precision}-{self.slots}-{self.seed}"

    @property
    def overrides(self) -> list[str]:
        said = [f"trainer.compute.precision={self.precision}", f"resources.slots={self.slots}"]
        return [*said, f"search.seed={self.seed}"]


def main() -> None:
    parser = options("recipe", __doc__, quick="float32, one slot, one seed, no joint re-run.")
    parser.add_argument("--place", type=Path, default=Path("runs/recipe"))
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS))
    parser.add_argument("--slots", nargs="+", type=int, default=list(SLOTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--joint-seeds", type=int, default=JOINT_SEEDS, help="0: no joint re-run.")
    parser.add_argument("--joint", nargs="+", metavar="SWEEP", help="Held against it; all of them without.")
    given = parser.parse_args()
    if given.quick:
        given.precisions, given.slots, given.seeds, given.joint_seeds = ["float32"], [1], [0], 0
    given.place.mkdir(parents=True, exist_ok=True)
    variations = [Variation(*each) for each in product(given.precisions, given.slots, given.seeds)]
    print(f"{'precision':<10}{'slots':>6}{'seed':>6}{'first':>7}{'best / bigram':>15}{'CPU-s':>8}  answers")
    rows = []
    for each in variations:
        spent = run(given.place, each.name, each.overrides)
        rows.append({**each._asdict(), **spent, **read(given.place, each.name)})
        print(line(rows[-1]), flush=True)
    names = [each.name for each in variations if not given.joint or each.name in given.joint]
    checked = held_against_joint(given.place, names, given.joint_seeds)
    for answer in checked:
        print(joint_line(answer), flush=True)
    summary = {
        "sweeps": len(rows),
        "first_block_sizes": sorted({row["first"] for row in rows}),
        "settled": sum(answer["settled"] for row in rows for answer in row["answers"]),
        "answers": sum(len(row["answers"]) for row in rows),
        "most_of_bigram": round(max(row["best"] / row["bigram"] for row in rows), 3),
        "joint_seeds": given.joint_seeds,
        "contradicted": sum(answer["contradicted"] for answer in checked) if checked else None,
    }
    settings = {"spec": SPEC.read_text(), "seeds": given.seeds, "quick": given.quick}
    finish("recipe", settings, [*rows, *checked], summary, write=given.write)


def run(place: Path, name: str, overrides: Sequence[str]) -> dict[str, float]:
    """Seconds, and CPU-seconds of all processes that it started; of the call that ended it, if there were
    several. RuntimeError where its exit code is not 0."""
    kept = place / f"{name}.json"
    if not kept.exists():
        words = [sys.executable, "-m", "sweeper", "run", str(SPEC), "--as", name, "--db", url_of(place)]
        found = metered([*words, *overrides], every=1.0)
        kept.write_text(json.dumps({"seconds": found.seconds, "cpu_seconds": found.cpu_seconds}))
    measured: dict[str, float] = json.loads(kept.read_text())
    return measured


def url_of(place: Path) -> str:
    return f"sqlite:///{place.resolve()}/sweeps.db"


def read(place: Path, name: str) -> dict[str, Any]:
    board = board_of(place, name)
    first = board.rows[0]
    assert first.confirmed_ppl is not None
    return {
        "first": first.values["finetune.block_size"],
        "best": first.confirmed_ppl,
        "bigram": math.exp(first.metrics["bigram_nelbo"]),
        "answers": [said(answer) for answer in board.answers],
    }


def said(answer: Answer) -> dict[str, Any]:
    kept = ("value", "settled", "winner", "loss", "loss_of_all", "p_best", "text")
    return {key: value for key, value in answer.to_json().items() if key in kept}


def line(row: dict[str, Any]) -> str:
    kinds = ", ".join(f"{each['value']}: {kind(each)}" for each in row["answers"])
    of_bigram = f"{row['best']:.1f} / {row['bigram']:.1f}"
    return (
        f"{row['precision']:<10}{row['slots']:>6}{row['seed']:>6}{row['first']:>7}{of_bigram:>15}"
        f"{row['cpu_seconds']:>8.0f}  {kinds}"
    )


def joint_line(row: dict[str, Any]) -> str:
    bound = "winner" if row["winner"] else f"at most {most(row['loss'])}"
    verdict = "contradicted" if row["contradicted"] else "not contradicted"
    return (
        f"{row['sweep']:<14}{row['value']:>4}: {bound:<14} joint: {row['difference']:+.1%}, "
        f"at least {row['low']:+.1%}: {verdict}"
    )


def kind(answer: dict[str, Any]) -> str:
    if answer["winner"]:
        return "winner"
    return f"{'at most' if answer['settled'] else 'not settled,'} {most(answer['loss'])}"


def most(loss: float | None) -> str:
    """Never less than it is, as the answer has it. None: one row, and nothing raced."""
    return "?" if loss is None else f"{math.ceil(1000 * loss) / 1000:.1%}"


# --- the joint re-run ---------------------------------------------------------------------------
class Held(NamedTuple):
    """An answer, and the rows of its race."""

    sweep: str
    board: Board
    answer: Answer

    @property
    def keys(self) -> set[str]:
        contest = contest_of(self.board, self.answer)
        return {key_of(row) for row in self.board.rows if row.configuration in contest.contenders}


def held_against_joint(place: Path, names: Sequence[str], seeds: int) -> list[dict[str, Any]]:
    """A row of each answer. Races whose rows no joint re-run has all of are run in one more.
    seeds: of a joint re-run; 0: there is none."""
    if not seeds:
        return []
    boards = {name: board_of(place, name) for name in names}
    every = [Held(name, board, answer) for name, board in boards.items() for answer in board.answers]
    joints = joints_in(place, seeds)
    if missing := {key for each in every if serving(joints, each) is None for key in each.keys}:
        always = json.dumps([json.loads(key) for key in sorted(missing)])
        name, rest = joint_name(sorted(missing), seeds), ["search.trials=0", "settle=null"]
        run(place, name, [f"always={always}", f"always_seeds={seeds}", *rest, *JOINT])
        joints = joints_in(place, seeds)
    with closing(Reader(url_of(place))) as reader:
        return [against(reader, joints, each) for each in every]


def joint_name(keys: Sequence[str], seeds: int) -> str:
    return f"joint-{hashlib.sha256(json.dumps(keys).encode()).hexdigest()[:8]}-{seeds}"


def joints_in(place: Path, seeds: int) -> dict[str, dict[str, int]]:
    """Of each joint re-run that has ended: the first trial of each row."""
    with closing(Reader(url_of(place))) as reader:
        kept = [(each.name, each.state) for each in reader.sweeps()]
    return {
        name: {key_of(row): row.trials[0] for row in board_of(place, name).rows}
        for name, state in kept
        if name.startswith("joint-") and name.endswith(f"-{seeds}") and state == "complete"
    }


def serving(joints: Mapping[str, Mapping[str, int]], held: Held) -> str | None:
    """The joint re-run that has all rows of the race."""
    return next((name for name, trials in joints.items() if held.keys <= trials.keys()), None)


def against(reader: Reader, joints: Mapping[str, Mapping[str, int]], held: Held) -> dict[str, Any]:
    name = serving(joints, held)
    assert name is not None
    joint = reader.sweep(name)
    assert joint is not None
    answer = held.answer
    said = {"sweep": held.sweep, "value": answer.value, "winner": answer.winner, "loss": answer.loss}
    return {**said, "joint": name, **worst(reader, joint, joints[name], held.board, answer)}


def worst(
    reader: Reader, joint: SweepRecord, trial: Mapping[str, int], board: Board, answer: Answer
) -> dict[str, Any]:
    """Of the row to be taken less each other one of its race, as the joint re-run has them, what says most
    against the bound. Shares of perplexity."""
    raced, contest = {row.configuration: row for row in board.rows}, contest_of(board, answer)
    first = trial[key_of(raced[contest.first])]
    others = [trial[key_of(raced[each])] for each in contest.contenders if each != contest.first]
    found = [compare(reader, joint, first, other) for other in others]
    difference = max((each.difference for each in found), default=0.0)
    low = max((each.low for each in found), default=0.0)
    return {
        "rows": len(contest.contenders),
        "difference": math.expm1(difference),
        "low": math.expm1(low),
        "contradicted": low > (0.0 if answer.winner else math.log1p(answer.loss or 0.0)),
    }


def board_of(place: Path, name: str) -> Board:
    with closing(Reader(url_of(place))) as reader:
        return leaderboard(reader, name)


def contest_of(board: Board, answer: Answer) -> Contest:
    assert board.fresh is not None
    (contest,) = (each for each in board.fresh.contests if each.value == answer.value)
    return contest


def key_of(row: Row) -> str:
    """What it is, whatever the precision: as an entry of `always`."""
    return json.dumps({name: row.values[name] for name in SEARCHED if name in row.values}, sort_keys=True)


if __name__ == "__main__":
    main()
