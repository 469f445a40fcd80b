"""What a sweep would take, before it runs: counts, and what a calibration of each shape says."""

import json
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweeper.cli import plan as plan_cli
from sweeper.cli.main import app
from sweeper.planning import calibration, machine, packing
from sweeper.planning.calibration import CannotRun, Shape, Tried, calibrate, in_a_process, remembered
from sweeper.planning.cost_estimates import Measured
from sweeper.planning.forecast import (
    OF_RAY,
    WAITING,
    Capacity,
    Forecast,
    forecast,
    in_words,
    shapes_of,
    unmeasured,
)
from sweeper.planning.machine import Slots
from sweeper.planning.plan import plan
from sweeper.planning.resolution import resolution
from sweeper.spec.load import load_spec
from sweeper.spec.spec import SweepSpec
from sweeper.strategies.samplers import SAMPLERS
from tests.sweeper.driving import make_spec
from tests.sweeper.spec.texts import GOOD, read
from tests.trainer.tiny_runs import tiny_config, write_corpus

ROOT = Path(__file__).parents[3]
SMOKE = str(ROOT / "search_spaces" / "smoke.yaml")
STAGED = ("trainer.pretrain.steps=100", "trainer.pretrain.block_size=64", "search.trials=10")
AMPLE = Capacity(10**12, 10**12, 10**12)
PER_STEP = {4: 1.0, 8: 2.0, 16: 3.0}  # seconds, by block size


def probe(shape: Shape, device: str, threads: int) -> Measured:
    size = shape.values["finetune.block_size"] if shape.phase == "finetune" else 64
    step = PER_STEP.get(size, 0.5)
    return Measured(step, 10.0, 20.0, 5.0, size * 10**6, 1000)


TWO = Slots(2, 1, 0)


def forecast_of(spec: SweepSpec, slots: Slots = TWO, capacity: Capacity = AMPLE) -> Forecast:
    return forecast(spec, plan(spec), calibrate(shapes_of(spec), "cpu", 1, probe=probe), slots, capacity)


def test_each_shape_is_tried_once_and_nothing_else() -> None:
    spec = make_spec(*STAGED, "always=[{finetune.block_size: 32, finetune.schedule.name: loglinear}]")
    asked: list[tuple[str, int]] = []

    def noted(shape: Shape, device: str, threads: int) -> Measured:
        asked.append((shape.phase, shape.values[f"{shape.phase}.block_size"]))
        return probe(shape, device, threads)

    tried = calibrate(shapes_of(spec), "cpu", 1, probe=noted)
    assert sorted(asked) == [
        ("finetune", 4),
        ("finetune", 8),
        ("finetune", 16),
        ("finetune", 32),
        ("pretrain", 64),
    ]
    assert len(tried.measured) == 5
    assert calibrate(shapes_of(spec), "cpu", 1, probe=noted, seconds=-1.0) == Tried({}, {}, 5)


def test_time_is_of_trials_and_of_each_pretrain_once() -> None:
    text = (
        "name: test\n"
        "trainer: {finetune.steps: 200, pretrain: {steps: 100, block_size: 64}, evaluation.every: 50}\n"
        "space: {finetune.block_size: {choice: [4, 8]}}\nsearch: {sampler: grid}\n"
    )
    spec = make_spec(text=text)
    said = forecast_of(spec, Slots(1, 1, 0.5))
    # begin, steps, evaluations at 50, 100 and 150, and what comes at the end
    trials = (5 + 200 * 1.0 + 3 * 10 + 20) + (5 + 200 * 2.0 + 3 * 10 + 20)
    pretrain = 5 + 100 * 0.5 + 10 + 20  # its own evaluation is in `end`, and one at 50 is feared
    assert said.seconds == pytest.approx(trials + pretrain)
    assert said.gpu_seconds == pytest.approx(0.5 * (trials + pretrain))
    assert forecast_of(spec, Slots(2, 1, 0)).seconds == pytest.approx(
        max((trials + pretrain) / 2, pretrain + 5 + 400 + 50)
    )
    assert (said.unshared, plan(spec).steps) == (2 * 300, 100 + 2 * 200)
    assert said.tokens == (100 + 2 * 200) * 16 * 64
    assert said.memory == 64 * 10**6
    assert said.disk == 3 * 1000
    assert (said.lacking, said.beyond) == ((), ())


def test_without_a_calibration_counts_are_said_and_no_times() -> None:
    spec = make_spec(*STAGED)
    said = forecast(spec, plan(spec), unmeasured(), Slots(2, 1, 0), Capacity(1, 1, 1))
    assert (said.seconds, said.gpu_seconds, said.memory, said.disk, said.lacking) == (
        None,
        None,
        None,
        None,
        (),
    )
    assert said.unshared > plan(spec).steps


def test_what_cannot_fit_is_named() -> None:
    spec = make_spec(*STAGED, "budget={hours: 0.01, gpu_hours: 0.001, trials: 3, tokens: 100}")
    capacity = Capacity(memory=100 * 10**6 + OF_RAY, gpu_memory=None, disk=5000)
    said = forecast_of(spec, Slots(2, 1, 0), capacity)
    assert said.lacking == (
        "memory: 2 trials at a time need 401 MB, and 236 MB are there; 1 at a time would fit",  # with Ray
        "disk: all checkpoints take 11 kB, and 5 kB are free; see `keep`, or --files",
    )
    assert [each.partition(" ")[0] for each in said.beyond] == [
        "budget.hours",
        "budget.trials",
        "budget.tokens",
    ]
    assert "budget.trials = 3 is for about 30% of it: all takes 10" in said.beyond
    on_gpu = forecast_of(spec, Slots(8, 1, 0.25), Capacity(1, 200 * 10**6, 10**12))
    assert on_gpu.lacking == (
        "GPU memory: 4 trials at a time need 256 MB, and 200 MB are there; 3 at a time would fit",
    )
    assert on_gpu.beyond[1].startswith("budget.gpu_hours = 0.001 is for about ")


@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        (Slots(4, 1, 0), ""),
        (Slots(4, 1, 0, fused=8), "4 in one process; those of equal shape take their steps as one"),
        (Slots(8, 1, 0.25, fused=8), "4 in one process; those of equal shape take their steps as one"),
        (Slots(8, 1, 0.25, fused=2), "2 in one process; those of equal shape take their steps as one"),
        (Slots(2, 1, 1, fused=8), "none: no two trials share a GPU"),
        (Slots(1, 1, 0, fused=8), "none: one runs at a time"),
    ],
)
def test_it_says_how_many_are_fused(slots: Slots, expected: str) -> None:
    spec = make_spec()
    tried = calibrate(shapes_of(spec), "cpu", 1, probe=probe)
    lines = in_words(forecast(spec, plan(spec), tried, slots, AMPLE), plan(spec), slots, tried)
    assert [line.removeprefix("fused       ") for line in lines if line.startswith("fused")] == (
        [expected] if expected else []
    )
    (memory,) = [line for line in lines if line.startswith("memory")]
    assert ("of their process's" in memory) == ("as one" in expected)


def test_of_trials_in_one_process_their_process_is_measured() -> None:
    """And on a CPU the workers whose trials these are wait beside it."""
    spec, asked = make_spec(), set[int]()

    def noted(shape: Shape, device: str, threads: int) -> Measured:
        asked.add(shape.together)
        return probe(shape, device, threads)._replace(memory=800 * 10**6)

    slots = Slots(8, 1, 0, fused=4)  # two such processes
    tried = calibrate(shapes_of(spec, slots.together), "cpu", 1, probe=noted)
    assert asked == {4}
    said = forecast(spec, plan(spec), tried, slots, AMPLE._replace(memory=10**9))
    assert said.memory == 800 * 10**6 + OF_RAY
    need = 2 * (800 * 10**6 + OF_RAY) + 8 * WAITING
    assert said.lacking[0].startswith(
        f"memory: 8 trials at a time need {need / 1e9:.1f} GB, and 1.0 GB are there"
    )
    on_gpu = slots._replace(gpu=0.25)
    assert forecast(spec, plan(spec), tried, on_gpu, AMPLE._replace(gpu_memory=800 * 10**6)).lacking == ()


def test_a_shape_that_does_not_run_is_named_with_its_reason() -> None:
    def failing(shape: Shape, device: str, threads: int) -> Measured:
        if shape.phase == "finetune" and shape.values["finetune.block_size"] == 8:
            raise CannotRun("out of memory")
        return probe(shape, device, threads)

    spec = make_spec(*STAGED)
    tried = calibrate(shapes_of(spec), "cpu", 1, probe=failing)
    said = forecast(spec, plan(spec), tried, Slots(1, 1, 0), AMPLE)
    assert said.lacking == ("finetune, block size 8: out of memory",)
    assert said.seconds is not None


def test_a_calibration_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_CACHE", str(tmp_path))
    asked: list[Shape] = []

    def noted(shape: Shape, device: str, threads: int) -> Measured:
        asked.append(shape)
        return probe(shape, device, threads)

    shape = shapes_of(make_spec())[0]
    ask = remembered(noted)
    assert ask(shape, "cpu", 1) == ask(shape, "cpu", 1) == probe(shape, "cpu", 1)
    assert len(asked) == 1
    ask(shape, "cpu", 2)
    assert len(asked) == 2
    for file in (tmp_path / "calibration").iterdir():
        file.write_text("cut off")
    assert ask(shape, "cpu", 1) == probe(shape, "cpu", 1)


# --- the command ------------------------------------------------------------------------------------
def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    told = CliRunner().invoke(app, ["plan", SMOKE, "resources.gpu=0.25", "resources.fused=4"])
    assert (told.exit_code, told.stderr) == (7, "a trial asks for 0.25 GPUs, and this machine has 0\n")


@pytest.mark.parametrize(("fused", "number"), [(1, 4), (3, 4)])
def test_a_gpu_is_shared_out_as_a_run_does_it(
    fused: int, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the memory of one, or of as many as are in a process: 90% of 9 GB, of which each takes 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(machine, "usable_cores", lambda: 8)
    monkeypatch.setattr(packing, "usable_cores", lambda: 8)
    monkeypatch.setattr(packing, "gpu_memory_of_each", lambda: 9 * 10**9)

    def needs(shape: Shape, device: str, threads: int) -> Measured:
        return probe(shape, device, threads)._replace(memory=shape.together * 2 * 10**9)

    monkeypatch.setattr(calibration, "in_a_process", needs)
    words = ["plan", SMOKE, f"resources.fused={fused}", "trainer.compute.precision=float32"]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0, told.output
    assert f"slots       {number}, each 1 CPU, 0.25 GPU" in told.stdout
    assert ("fused       3 in one process" in told.stdout) == (fused == 3)
    assert "lacking" not in told.stdout


def test_plan_and_run_plan_say_the_same_and_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(calibration, "in_a_process", probe)
    monkeypatch.setenv("TRAINER_CACHE", str(tmp_path / "cache"))
    one = CliRunner().invoke(app, ["plan", SMOKE, "budget.trials=2"])
    two = CliRunner().invoke(app, ["run", SMOKE, "budget.trials=2", "--plan"])
    assert one.exit_code == two.exit_code == 0, one.stderr
    assert one.stdout == two.stdout
    assert "saved       40 of 120 steps, as pretrains are shared" in one.stdout
    assert "beyond      budget.trials = 2 is for about 67% of it: all takes 3" in one.stdout
    assert "time        about" in one.stdout
    assert {file.name for file in tmp_path.iterdir()} <= {"cache"}
    told = json.loads(CliRunner().invoke(app, ["plan", SMOKE, "--no-calibration", "--json"]).stdout)
    assert told["plan"]["trials"] == 3
    assert told["forecast"]["seconds"] is None


def test_a_machine_that_lacks_room_is_exit_code_7(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(calibration, "in_a_process", probe)
    monkeypatch.setenv("TRAINER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plan_cli, "_capacity", lambda *given: Capacity(1000, None, 10**12))
    result = CliRunner().invoke(app, ["plan", SMOKE])
    assert result.exit_code == 7
    assert "lacking     memory: " in result.stdout
    assert "not even one fits" in result.stdout


@pytest.mark.long
def test_twenty_steps_in_a_process_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real trainer: a step, an evaluation, memory and disk are measured, and nothing is left behind."""
    monkeypatch.setenv("TRAINER_CACHE", str(tmp_path / "cache"))
    tiny = tiny_config(write_corpus(tmp_path), pretrain__steps=0, evaluation__test=False)
    values = {**tiny.to_dotted(), "compute.precision": "float32"}
    before = set(Path(tempfile.gettempdir()).glob("calibration-*"))
    found = in_a_process(Shape(values, "finetune"), "cpu", 1)
    assert 1e-4 < found.step < 5
    assert found.begin > 0
    assert 50 * 10**6 < found.memory < 4 * 10**9
    assert found.disk > 10_000
    assert set(Path(tempfile.gettempdir()).glob("calibration-*")) <= before
    with pytest.raises(CannotRun, match="nowhere"):
        in_a_process(Shape({**values, "data.train": "/nowhere"}, "finetune"), "cpu", 1)


def test_the_default_sweep_shares_its_pretrain() -> None:
    would = plan(load_spec(ROOT / "search_spaces" / "schedules.yaml"))
    assert (would.trials, would.baselines, would.stages, would.at_most) == (12, 6, 4, True)
    assert (would.raced_least, would.raced) == (5, 24)
    assert would.steps == (18 + 24) * 100 + 4 * 900


def test_a_searched_pretrain_is_counted_as_an_upper_bound() -> None:
    would = plan(read(GOOD, "space.optimizer.beta1.uniform=[0.8, 0.9]"))
    assert would.at_most
    assert would.stages == 3 + 6


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_without_a_space_no_sampler_proposes_or_skips_anything(sampler: str) -> None:
    would = plan(read("always: [{finetune.block_size: 4}]", f"search.sampler={sampler}"))
    assert (would.trials, would.skipped, would.baselines) == (0, 0, 3)


def test_a_race_is_planned_as_a_range_and_its_pretrains_are_counted() -> None:
    alone, spec = (make_spec(*STAGED, *more) for more in ((), ("settle={seeds: 5, contenders: 9}",)))
    without, would = plan(alone), plan(spec)
    assert (without.raced_least, without.raced) == (0, 0)
    assert (would.raced_least, would.raced) == (2 * 8, 5 * 9)
    assert would.stages == without.stages + 5
    assert would.at_most
    assert "settled     16 to 45 runs of a race" in plan_cli.counts(
        spec, would, resolution(spec, would.trials)
    )


def test_baselines_that_ran_on_a_rounds_seed_are_not_planned_again() -> None:
    settle = "settle={seeds: 5, contenders: 9}"
    spec = make_spec(*STAGED, settle, "always=[{finetune.block_size: 16}]", "always_seeds=3")
    assert plan(spec).raced_least == 2 * 8 - 2


def test_a_race_of_each_value_is_certain_only_where_two_must_share_one() -> None:
    """make_spec has three block sizes; a baseline of a fourth would have a race of its own."""
    by = "settle={by: finetune.block_size}"
    for trials, more, least in (
        (3, (), 0),
        (4, (), 2 * 2),
        (4, ("always=[{finetune.block_size: 32}]", "always_seeds=1"), 2 * 2),
        (3, ("always=[{finetune.block_size: 32}]", "always_seeds=1"), 0),
    ):
        assert plan(make_spec(by, f"search.trials={trials}", *more)).raced_least == least, (trials, more)


def test_of_a_chance_one_round_is_certain() -> None:
    assert plan(make_spec("settle={until: chance}")).raced_least == 8


def test_one_configuration_has_nobody_to_race() -> None:
    assert plan(make_spec("settle={}", "search.trials=1")).raced == 0


def test_decays_of_any_length_and_shape_branch_from_one_stable_part() -> None:
    wsd = "{finetune: {lr_schedule: {name: wsd, decay: 1}, warmup: 0}, pretrain.steps: 100}"
    shapes = "finetune.lr_schedule.shape: {choice: [1-sqrt, linear]}"
    space = f"space={{finetune.steps: {{choice: [10, 20]}}, {shapes}}}"
    seen = plan(make_spec(f"trainer={wsd}", space, "search={sampler: grid}", "always=[]"))
    assert (seen.trials, seen.stages) == (4, 1)


def test_a_calibration_says_what_its_steps_compute() -> None:
    said = "trainer.finetune={blocks.name: mixture, ar_weight: 0.2}"
    names = {shape.name for shape in shapes_of(make_spec(said))}
    assert names == {f"finetune, block size {size}, mixture, ar" for size in (4, 8, 16)}
