"""python -m benchmarks.trained: how much do training seeds move a difference of configurations?

benchmarks/data/seeds.json holds what runs of benchmarks/data/seeds.yaml came to, per document; the README's
sweep trains such models. It was made by

    python -m sweeper run benchmarks/data/seeds.yaml --db sqlite:///seeds.db
    python -m benchmarks.trained --take sqlite:///seeds.db seeds --write

`python -m benchmarks.calibration` has boards of them (Trained): more seeds of the same kind.
Shapes: N boards, C configurations, S trained seeds, R seeds of a board, D documents."""

import json
from collections.abc import Iterator
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.document import finish, options
from benchmarks.worlds import CAP, Array, Board, Rng, World
from sweeper.store.queries import Reader

RUNS = Path(__file__).parent / "data" / "seeds.json"


class Trained:
    """Boards of as many configurations as were trained. A board's seed is a mix of the trained ones, by
    normal
    weights, so that variances and covariances, between configurations and between documents, are those that
    were found."""

    name = "trained runs"

    def __init__(self, world: World | None = None):
        self._evaluated = world or World(self.name)  # what text and masks add

    @cached_property
    def runs(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(RUNS.read_text())
        return found

    @cached_property
    def deviation_CSD(self) -> Array:
        """Nats per token, of a configuration's run from the mean of its runs; documents as in TOKENS_D."""
        tokens_D = np.array(self.runs["tokens"])
        per_token_CSD = (np.array(self.runs["nats"]) / tokens_D)[..., np.argsort(tokens_D, kind="stable")]
        return np.asarray(per_token_CSD - per_token_CSD.mean(1, keepdims=True), np.float64)

    def boards(self, rng: Rng, truth_NC: Array) -> Iterator[Board]:
        N, C = truth_NC.shape
        of_CSD = self.deviation_CSD[:C]
        weights_NRS = rng.standard_normal((N, 1 + CAP, of_CSD.shape[1])) / np.sqrt(of_CSD.shape[1] - 1)
        deviation_NCRD = np.einsum("nrs,csd->ncrd", weights_NRS, of_CSD)
        size_C = np.array([each["finetune.block_size"] for each in self.runs["configurations"]])[:C]
        order_NC = rng.permuted(np.tile(np.arange(C), (N, 1)), axis=1)
        deviation_NCRD = np.take_along_axis(deviation_NCRD, order_NC[..., None, None], 1)
        return self._evaluated.seen(rng, truth_NC, deviation_NCRD, size_C[order_NC])


def main() -> None:
    parser = options("trained", __doc__)
    parser.add_argument("--take", nargs=2, metavar=("URL", "SWEEP"), help="Runs out of a store, and no more.")
    given = parser.parse_args()
    if given.take:
        taken = take(*given.take)
        if given.write:
            RUNS.write_text(json.dumps(taken) + "\n")
        finish("seeds", {"sweep": given.take[1]}, [], {"seeds": len(taken["seeds"])}, write=False)
        return
    trained = Trained()
    rows = measured(trained)
    print(f"{'configuration':<14}{'nats/token':>12}{'level':>10}{'own':>10}{'slope':>8}")
    for row in rows:
        print(f"{row['configuration']:<14}{row['mean']:>12.4f}{row['level']:>10.4f}", end="")
        print(f"{row['own']:>10.4f}{row['slope']:>8.3f}")
    pairs = _paired(_values(trained))
    settings = {"configurations": len(rows), "seeds": len(trained.runs["seeds"])}
    finish("trained", settings, rows, pairs, write=given.write)


def take(url: str, sweep_name: str) -> dict[str, Any]:
    """The complete runs, of the seeds that all configurations have run."""
    with closing(Reader(url)) as reader:
        sweep = reader.sweep(sweep_name)
        assert sweep is not None, f"there is no sweep {sweep_name}"
        values = reader.configurations(sweep.id)
        found = {each.trial: each for each in reader.evaluations(sweep.id, "valid")}
        runs = {
            (trial.configuration, trial.seed): found[trial.id]
            for trial in reader.trials(sweep.id)
            if trial.state == "complete"
        }
    configurations = sorted({c for c, _ in runs})
    seeds = [s for s in sorted({s for _, s in runs}) if all((c, s) in runs for c in configurations)]
    nats = [[[round(n, 3) for n in runs[c, s].nats] for s in seeds] for c in configurations]
    like = next(iter(runs.values()))
    said = [
        {key: value for key, value in values[c].items() if key.startswith("finetune.")}
        for c in configurations
    ]
    identity = {"identity": like.identity, "provenance": like.provenance, "tokens": like.tokens}
    return {"spec": sweep.spec, **identity, "configurations": said, "seeds": seeds, "nats": nats}


def measured(trained: Trained) -> list[dict[str, Any]]:
    """Of each configuration: mean; standard deviation over seeds of its value (level), and of what is left of
    it once the seeds' common effect is taken out, scaled by its slope (own)."""
    value_CS = _values(trained)
    left_CS = value_CS - value_CS.mean(1, keepdims=True)
    rows = []
    for c, left_S in enumerate(left_CS):
        common_S = np.delete(left_CS, c, axis=0).mean(0)  # of the others
        slope = float(left_S @ common_S / (common_S @ common_S))
        own = float(np.sqrt(((left_S - slope * common_S) ** 2).sum() / (len(left_S) - 2)))
        level = float(left_S.std(ddof=1))
        row = {"configuration": c + 1, "mean": float(value_CS[c].mean()), "level": level}
        rows.append(row | {"own": own, "slope": slope})
    return rows


def _paired(value_CS: Array) -> dict[str, float]:
    """Standard deviations of pairs' differences, of one seed."""
    first, second = np.triu_indices(len(value_CS), 1)
    deviation_P = (value_CS[first] - value_CS[second]).std(1, ddof=1)
    return {"least": float(deviation_P.min()), "most": float(deviation_P.max())} | {
        "root mean square": float(np.sqrt((deviation_P**2).mean()))
    }


def _values(trained: Trained) -> Array:
    return np.array(trained.runs["nats"]).sum(2) / np.sum(trained.runs["tokens"])


if __name__ == "__main__":
    main()
