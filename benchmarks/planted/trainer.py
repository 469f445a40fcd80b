"""Faults in the trainer: the loss, the bound, what a run reads and goes on from."""

from benchmarks.planted.fault import Fault

FAULTS = (
    # --- schedules ---
    Fault(
        "slope-for-charge",
        "schedules",
        "SquareRoot charges p' instead of p'/p",
        "trainer/noise/schedules.py",
        "return NoiseLevel(t**0.5, 0.5 / t)",
        "return NoiseLevel(t**0.5, 0.5 / t**0.5)",
    ),
    Fault(
        "gaussian-without-z",
        "schedules",
        "the mass of a Gaussian inside (0, 1) is missing from what it charges",
        "trainer/noise/schedules.py",
        "self.sigma * self.inside / (_normal_pdf(z) * p)",
        "self.sigma / (_normal_pdf(z) * p)",
    ),
    Fault(
        "clip-swapped",
        "schedules",
        "a clip's two bounds change places",
        "trainer/noise/clips.py",
        "low, high = max(self.low, FIRST_TIME), max(self.high, FIRST_TIME)",
        "high, low = max(self.low, FIRST_TIME), max(self.high, FIRST_TIME)",
    ),
    # --- weights ---
    Fault(
        "one-over-p",
        "weights",
        "the loss is charged 1/p instead of p'/p: right for loglinear alone",
        "trainer/objectives/forward.py",
        "over_density_BN * level.loss_scale *",
        "over_density_BN / level.move_chance *",
    ),
    Fault(
        "normalizer-forgotten",
        "weights",
        "a weight that asks for it is not divided by its mean",
        "trainer/objectives/forward.py",
        "charge_BN = charge_BN / mean_weight",
        "charge_BN = charge_BN * 1.0",
    ),
    Fault(
        "mean-over-time",
        "weights",
        "a weight's mean is taken over time instead of over p",
        "trainer/noise/reweighting.py",
        "mass = du * level.loss_scale * level.move_chance",
        "mass = du",
    ),
    # --- masking ---
    Fault(
        "tilt-off-centre",
        "masking",
        "tilts of a block do not sum to 0: only what is commoner is counted",
        "trainer/noise/masking.py",
        "rank_BNP = (commoner_BNP - rarer_BNP).float() / block_size",
        "rank_BNP = commoner_BNP.float() / block_size",
    ),
    Fault(
        "importance-of-masked-alone",
        "masking",
        "the importance of a mask leaves out the tokens that were not masked",
        "trainer/objectives/forward.py",
        "torch.where(masked_BNP, (1 - p_BN1) * tilt_BNP, -p_BN1 * tilt_BNP)",
        "torch.where(masked_BNP, (1 - p_BN1) * tilt_BNP, 0)",
    ),
    Fault(
        "bos-masked",
        "masking",
        "BOS, which is given, is masked and charged",
        "trainer/objectives/forward.py",
        "    masked_BL[:, 0] = False\n",
        "",
    ),
    # --- bound ---
    Fault(
        "n-from-0",
        "bound",
        "the subset estimator draws n from 0 to M - 1",
        "trainer/objectives/subsets.py",
        "count_KN1 = 1 + (u_KN",
        "count_KN1 = (u_KN",
    ),
    Fault(
        "ema-not-used",
        "bound",
        "the weights themselves are evaluated, not their moving average",
        "trainer/training/run.py",
        'self._evaluate("valid", self.learner.average, progress.step)',
        'self._evaluate("valid", self.learner.model, progress.step)',
    ),
    Fault(
        "masks-of-the-seed",
        "bound",
        "a run is evaluated on text and masks of its own seed",
        "trainer/config/train_config.py",
        'model_copy(update={"batch_size": at_once})',
        'model_copy(update={"batch_size": at_once, "seed": self.seed})',
    ),
    Fault(
        "best-by-test",
        "bound",
        "where a run ends, the test split decides whether this is its best checkpoint",
        "trainer/training/run.py",
        "report.evaluations[0].nelbo < progress.best_nelbo:",
        "report.evaluations[-1].nelbo < progress.best_nelbo:",
    ),
    # --- store ---
    Fault(
        "folder-not-synced",
        "store",
        "a file is renamed, but its folder not brought to disk",
        "trainer/disk.py",
        "    os.replace(temporary, path)\n    to_disk(path.parent)\n",
        "    os.replace(temporary, path)\n",
    ),
    # --- resume ---
    Fault(
        "moments-not-carried",
        "resume",
        "a branch from a pretrain begins with fresh moments of AdamW, though it is to carry them",
        "trainer/training/run.py",
        '*(("optimizer.",) if self.config.finetune.carry_optimizer else ())',
        "",
    ),
)
