"""A whole small run, with tokens a second; before it what `plan` would say that it needs of memory."""

import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.scale import Row, Scale
from sweeper.planning.calibration import CannotRun, Shape, in_a_process
from trainer.config.train_config import TrainConfig
from trainer.evaluation.record import Report
from trainer.training.calibrate import gpu_memory_in_use, peak_memory
from trainer.training.train import train

HELD = (0.9, 1.5)  # the forecast over what the run took: below, trials do not fit; above, a card stays empty


def rows(scale: Scale, which: int) -> Iterator[Row]:
    said = {"data.name": "files", "data.train": scale.text, "data.document": "line"}
    text = {} if scale.text is None else said
    config = TrainConfig.from_dotted({**dict(scale.run), **text})
    forecast = None
    try:
        calibrated = in_a_process(Shape(config.to_dotted(), "finetune"), scale.device, 1)
        forecast = calibrated.memory
        words = f"{forecast / 2**20:,.0f} MiB, a step {1e3 * calibrated.step:.2f} ms"
        yield Row("forecast of plan", True, words, facts=dict(calibrated._asdict()))
    except CannotRun as error:
        yield Row("forecast of plan", False, str(error))
    before = gpu_memory_in_use() if scale.device == "cuda" else None
    reports: list[Report] = []
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        for report in train(config, Path(folder), device=scale.device):
            if report is not None:
                reports.append(report)
        seconds = time.monotonic() - began
    yield _course(reports, seconds)
    taken = peak_memory(scale.device, before)
    beside = f"{taken / 2**20:,.0f} MiB were taken at most"
    if forecast is None:
        yield Row("memory", None, beside)
        return
    held = HELD[0] <= forecast / taken <= HELD[1]
    asked = f"a forecast of {HELD[0]:g} to {HELD[1]:g} of it"
    yield Row("memory", held, f"{beside}, forecast {forecast / taken:.2f} of it", asked, {"taken": taken})


def _course(reports: list[Report], seconds: float) -> Row:
    """Of the run's last row, and of its curve."""
    curve = [report.values["val_nelbo"] for report in reports if "val_nelbo" in report.values]
    last = reports[-1].values
    speed = last["tokens"] / last["seconds"]
    said = (
        f"{speed:,.0f} tokens/s in its steps, {last['tokens'] / seconds:,.0f} over all {seconds:.1f} s, "
        f"val_nelbo {curve[0]:.3f} to {curve[-1]:.3f}"
    )
    ok = math.isfinite(curve[-1]) and curve[-1] < curve[0]
    facts = {"curve": curve, "seconds": seconds, "tokens_per_second": speed, "last": dict(last)}
    return Row("run", ok, said, "val_nelbo falls", facts)
