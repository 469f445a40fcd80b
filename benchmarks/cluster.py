"""python -m benchmarks.cluster [--quick]: a sweep on 1, 2 and 3 nodes, one of which is killed. What is lost?

The nodes are Ray's, of one CPU each, all on this machine; the fake trainer sleeps, so cores do not matter.
A node is killed with all that runs on it when so many steps have been trained. With one node, the cluster is
left without any, and another joins: that time counts. Trials are lost that do not end complete, and doubled
if a step that was in a checkpoint when the next attempt began was trained again.
"""

import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.document import finish, options
from sweeper.store.queries import Reader
from tests.sweeper.clusters import cluster
from tests.sweeper.processes import Work, end_of, pairs, wait_for

SECONDS = 0.4  # of a step
TEXT = """
name: test
trainer:
  data: {name: pydocs, length: 64}
  model.size: nano
  finetune.steps: STEPS
  evaluation.every: 4
  checkpoint.every: 0.2
space: {finetune.block_size: {choice: [4, 8, 16, 32]}, finetune.lr: {choice: [0.001, 0.002]}}
search: {sampler: grid, seed: 3}
resources: {cpu: 1, gpu: 0}
"""


def swept(nodes: int, steps: int, killed: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="cluster-") as place:
        work = Work(Path(place))
        pids = str(work.place / "pids")
        with cluster(nodes, FAKE_SECONDS=str(SECONDS), FAKE_PIDS=pids) as at:
            began = time.monotonic()
            text = TEXT.replace("STEPS", str(steps))
            driver = work.start(text, address=at.address, **at.environment)
            moved = None
            if killed:
                wait_for(lambda: len(busy(work)) == nodes and work.steps() > steps, driver)
                lives = attempts(work)
                at.kill(at.raylets[0])
                gone = time.monotonic()
                if nodes == 1:
                    at.add()
                wait_for(lambda: attempts(work) > lives and again(work), driver)
                moved = time.monotonic() - gone
            code, said = end_of(driver, 600.0)
            assert code == 0, said
        with closing(Reader(work.url)) as reader:
            states = [trial.state for trial in reader.trials(1)]
        ledgers = sorted(work.files.glob("trials/*/*/ledger.txt"))
        return {
            "nodes": nodes,
            "killed": killed,
            "trials": len(states),
            "lost": sum(state != "complete" for state in states),
            "doubled": sum(map(doubled, ledgers)),
            "steps": steps * len(states),
            "trained": sum(len(pairs(ledger)) for ledger in ledgers),
            "seconds": round(time.monotonic() - began, 1),
            "moved_after": round(moved, 1) if moved is not None else None,
        }


def busy(work: Work) -> set[int]:
    doing = {name: pid if what == "begin" else 0 for _, pid, what, name in work.spells()}
    return set(doing.values()) - {0}


def attempts(work: Work) -> int:
    with closing(Reader(work.url)) as reader:
        return max(trial.attempt for trial in reader.trials(1))


def again(work: Work) -> bool:
    """Whether a later attempt has trained a step."""
    return any(
        attempt > 1 for ledger in work.files.glob("trials/*/*/ledger.txt") for attempt, _ in pairs(ledger)
    )


def doubled(ledger: Path) -> int:
    """Steps trained again though a checkpoint had them when the attempt began."""
    saved = pairs(ledger.with_name("saves.txt"))
    count = 0
    for attempt, step in pairs(ledger):
        count += step <= max((s for a, s in saved if a < attempt), default=0)
    return count


def main() -> None:
    parser = options("cluster", __doc__, quick="Two nodes, once.")
    given = parser.parse_args()
    steps, sizes = (8, [2]) if given.quick else (12, [1, 2, 3])
    print("nodes  killed  trials  lost  doubled  steps  trained  seconds  trial moved on after")
    rows = []
    for nodes in sizes:
        for killed in (False, True):
            row = swept(nodes, steps, killed)
            rows.append(row)
            moved = "" if row["moved_after"] is None else f"{row['moved_after']:.1f} s"
            print(
                f"{nodes:5}  {'one' if killed else '':6}  {row['trials']:6}  {row['lost']:4}  "
                f"{row['doubled']:7}  {row['steps']:5}  {row['trained']:7}  {row['seconds']:7.1f}  {moved}",
                flush=True,
            )
    summary = {
        "lost": sum(row["lost"] for row in rows),
        "doubled": sum(row["doubled"] for row in rows),
        "moved_after_median": median(row["moved_after"] for row in rows if row["killed"]),
    }
    finish("cluster", {"step_seconds": SECONDS, "steps": steps}, rows, summary, write=given.write)


if __name__ == "__main__":
    main()
