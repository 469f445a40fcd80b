"""python -m benchmarks.models [--samples]: search_spaces/models.yaml, once it has been run, as tables.

val_ppl and test_ppl of each kind of model with their 95% intervals over text and training seeds, best first,
and the floors on the same tokens. --samples: text of 1,024 and 4,096 tokens from each first run, or of the
trained length where a model is one block; passes (NFE), seconds, and gen_ppl under the autoregressive run.
It reads the sweep's database and checkpoints, and trains nothing.
"""

import json
import math
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.document import finish, options
from sweeper.statistics.field import Run
from sweeper.statistics.standings import Standing, standings
from sweeper.store.queries import Reader
from sweeper.store.records import TrialRecord
from trainer.config.stored import read_config
from trainer.values import flatten

LENGTHS = (1024, 4096)


class Model(NamedTuple):
    name: str
    trials: list[TrialRecord]
    valid: Standing
    test: Standing


def main() -> None:
    parser = options("models", __doc__)
    parser.add_argument("--db", default="sqlite:///sweeps.db")
    parser.add_argument("--sweep", default="models")
    parser.add_argument("--samples", action="store_true")
    given = parser.parse_args()
    if given.write and not given.samples:
        parser.error("--write keeps what --samples draws, too")
    with closing(Reader(given.db)) as reader:
        sweep = reader.sweep(given.sweep)
        if sweep is None:
            sys.exit(f"there is no sweep {given.sweep}: python -m sweeper run search_spaces/models.yaml")
        found = models(reader, sweep.id)
        floors = {row.name: row.value for row in reader.latest(sweep.id) if row.name.endswith("gram_nelbo")}
    print("| | val_ppl | 95% interval | test_ppl | 95% interval | seeds |\n" + "| --- " * 6 + "|")
    for each in found:
        print(f"| {each.name} | {_ppl(each.valid)} | {_ppl(each.test)} | {len(each.trials)} |")
    for name, nelbo in sorted(floors.items(), reverse=True):
        print(f"| {name.removesuffix('_nelbo')}, add-one | {math.exp(nelbo):.1f} | | | | |")
    rows: list[dict[str, Any]] = [
        {"model": each.name, "valid": each.valid._asdict(), "test": each.test._asdict()} for each in found
    ]
    drawn = samples(found, Path(sweep.folder) / "trials" / str(sweep.id)) if given.samples else []
    finish(
        "models",
        {"sweep": _without_paths(sweep.spec["trainer"]), "lengths": LENGTHS, "floors": floors},
        [*rows, *drawn],
        {each.name: round(math.exp(each.test.nelbo), 1) for each in found},
        write=given.write,
    )


def models(reader: Reader, sweep: int) -> list[Model]:
    """By val_nelbo, best first. Raises SystemExit where a trial has not ended."""
    trials = reader.trials(sweep)
    if any(trial.state != "complete" for trial in trials):
        sys.exit("the sweep has not come to its end, or a trial failed: see `python -m sweeper status`")
    by_id = {trial.id: trial for trial in trials}
    found: dict[str, dict[int, Standing]] = {}
    for split in ("valid", "test"):
        evaluations = reader.evaluations(sweep, split)
        runs = [Run(by_id[e.trial].configuration, by_id[e.trial].seed, e.nats) for e in evaluations]
        found[split] = {each.configuration: each for each in standings(runs, evaluations[0].tokens).rows}
    values = reader.configurations(sweep)
    return [
        Model(
            _name(values[configuration]),
            [trial for trial in trials if trial.configuration == configuration],
            standing,
            found["test"][configuration],
        )
        for configuration, standing in found["valid"].items()
    ]


def samples(found: list[Model], folder: Path) -> list[dict[str, Any]]:
    judge = folder / str(next(each for each in found if each.name == "AR").trials[0].id)
    print("\n| | tokens | NFE | passes that store | seconds | gen_ppl under AR | entropy |")
    print("| --- " * 7 + "|")
    rows = []
    for each in found:
        run = folder / str(each.trials[0].id)
        trained = read_config(run).data.length
        for length in (trained,) if each.name in ("MDLM", "SEDD") else LENGTHS:
            row = {"model": each.name, "length": length, **sample(run, length, judge)}
            rows.append(row)
            print(
                f"| {each.name} | {length:,} | {row['nfe']:,} | {row['cache_passes']:,} "
                f"| {row['seconds']:.1f} | {row['gen_ppl']:.1f} | {row['gen_entropy']:.2f} |",
                flush=True,
            )
    return rows


def sample(run: Path, length: int, judge: Path) -> dict[str, Any]:
    """One text, and what the judge says of it."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "samples.jsonl"
        _trainer("sample", run, "--num", 1, "--length", length, "--out", file, "sampler.nucleus=0.9")
        drawn = json.loads(file.read_text())
        judged = json.loads(_trainer("judge", file, "--judge", judge, "--json"))
    told = {key: drawn[key] for key in ("nfe", "cache_passes", "seconds", "text")}
    return told | {key: judged[key] for key in ("gen_ppl", "gen_entropy")}


def _trainer(*words: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *map(str, words)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{words[0]} failed: {done.stderr[-500:]}")
    return done.stdout


def _without_paths(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in flatten(values).items() if not key.endswith(".path")}


def _name(values: dict[str, Any]) -> str:
    if values["objective.name"] != "bd3lm":
        return str(values["objective.name"]).upper()
    size = values["finetune.block_size"]
    return "MDLM" if size == values["data.length"] else f"BD3-LM, L' = {size}"


def _ppl(standing: Standing) -> str:
    low, high = math.exp(standing.low), math.exp(standing.high)
    return f"{math.exp(standing.nelbo):.1f} | [{low:.1f}, {high:.1f}]"


if __name__ == "__main__":
    main()
