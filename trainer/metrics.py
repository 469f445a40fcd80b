"""The names of everything that is measured: label, unit, direction, and whether it may rank. stdlib only.

A new one is one line in METRICS, and its value in a reported row. One that may rank is an estimate of the
same bound whatever trained the model (docs/metrics.md).
"""

from typing import Literal, NamedTuple


class Metric(NamedTuple):
    name: str
    label: str
    unit: str
    direction: Literal["min", "max", "none"]  # none: shown, never ranked nor searched on
    help: str
    searched: Literal["min", "max", ""] = ""  # beside the metric that ranks; '': not at all. No test split
    measured_by: str = ""  # the setting that leaves it out where it is 0
    again: str = ""  # the metric that ranks which it measures again, at a run's end: no name to search by


VARIANCE = "evaluation.variance_batches"
METRICS: tuple[Metric, ...] = (
    Metric("val_nelbo", "NELBO (valid)", "nats/token", "min", "Bound on the negative log-likelihood."),
    Metric("val_ppl", "PPL (valid, upper bound)", "", "min", "exp(val_nelbo)."),
    Metric("val_bpb", "Bits per byte (valid)", "bits/byte", "min", "Lossless tokenizers only."),
    Metric("test_nelbo", "NELBO (test)", "nats/token", "none", "Read once, when a run has ended."),
    Metric("test_ppl", "PPL (test, upper bound)", "", "none", "exp(test_nelbo)."),
    Metric("test_bpb", "Bits per byte (test)", "bits/byte", "none", "Lossless tokenizers only."),
    Metric(
        "ranked_nelbo",
        "NELBO (ranked)",
        "nats/token",
        "min",
        "Of the best checkpoint, under evaluation.rank_error's masks.",
        again="val_nelbo",
    ),
    Metric("ranked_ppl", "PPL (ranked, upper bound)", "", "min", "exp(ranked_nelbo).", again="val_ppl"),
    Metric(
        "ranked_bpb",
        "Bits per byte (ranked)",
        "bits/byte",
        "min",
        "Lossless tokenizers only.",
        again="val_bpb",
    ),
    Metric("ranked_nelbo_se", "s.e. of ranked_nelbo", "nats/token", "none", "Clustered by document."),
    Metric("val_nelbo_se", "s.e. of val_nelbo", "nats/token", "none", "Clustered by document."),
    Metric("test_nelbo_se", "s.e. of test_nelbo", "nats/token", "none", "Clustered by document."),
    Metric(
        "var_nelbo", "Var. NELBO", "nats^2", "none", "Under the training schedule and clip.", "min", VARIANCE
    ),
    Metric(
        name="var_nelbo_loglinear",
        label="Var. NELBO (loglinear)",
        unit="nats^2",
        direction="none",
        help="The same, under loglinear.",
        searched="min",
        measured_by=VARIANCE,
    ),
    Metric("objective", "Training objective (valid)", "", "none", "Weight and clip included: not a bound."),
    Metric(
        "clip_low", "Clip found, low", "", "none", "Of clip: auto; in force from this step on if adopted."
    ),
    Metric(
        "clip_high", "Clip found, high", "", "none", "Of clip: auto; in force from this step on if adopted."
    ),
    Metric(
        "clip_var", "Var. objective by clip", "nats^2", "none", "/LOW-HIGH: of a block, over that interval."
    ),
    Metric("bin_share", "Share of blocks", "", "none", "/P: drawn with move_chance in the bin about P."),
    Metric("bin_masked", "Masked fraction", "", "none", "/P: of the maskable tokens of such blocks."),
    Metric("bin_nats", "Nats per masked token", "nats/token", "none", "/P: unweighted, in such blocks."),
    Metric("bin_objective", "Part of the objective", "", "none", "/P: what such blocks add to it."),
    Metric("unigram_nelbo", "Unigram model", "nats/token", "none", "A floor on the same tokens, add-one."),
    Metric("bigram_nelbo", "Bigram model", "nats/token", "none", "A floor on the same tokens, add-one."),
    Metric("kn_bigram_nelbo", "Bigram, Kneser-Ney", "nats/token", "none", "A floor on the same tokens."),
    Metric("kn_trigram_nelbo", "Trigram, Kneser-Ney", "nats/token", "none", "A floor on the same tokens."),
    Metric(
        "source_nelbo", "The source itself", "nats/token", "none", "Exact, on the same tokens: none is below."
    ),
    Metric("zero_shot_nelbo", "NELBO (zero-shot)", "nats/token", "none", "/CORPUS: of evaluation.zero_shot."),
    Metric("zero_shot_ppl", "PPL (zero-shot, upper bound)", "", "none", "/CORPUS: exp(zero_shot_nelbo)."),
    Metric("gen_ppl", "Gen. PPL", "", "none", "Of samples under a judge; its name belongs to the number."),
    Metric("gen_entropy", "Unigram entropy of samples", "nats", "none", "In the judge's tokens, their mean."),
    Metric("nfe", "NFE", "passes", "none", "Denoiser passes behind a sample; not its length."),
    Metric(
        "length_median", "Median length of samples", "tokens", "none", "Of text: BOS and EOS not counted."
    ),
    Metric("length_max", "Largest length of samples", "tokens", "none", "Of text: BOS and EOS not counted."),
    Metric("train_loss", "Training loss", "", "none", "Mean of the objective since the last row."),
    Metric("grad_norm", "Gradient norm", "", "none", "Mean before clipping since the last row."),
    Metric(
        "grad_norm_var", "Variance of the gradient norm", "", "none", "Over the steps since the last row."
    ),
    Metric("lr", "Learning rate", "", "none", "At the row's step."),
    Metric("tokens", "Tokens trained on", "tokens", "none", "In this run, its pretrain not counted.", "min"),
    Metric("seconds", "Seconds trained", "s", "none", "In this run, over all attempts.", "min"),
    Metric("peak_memory", "Peak memory", "MB", "none", "Of the process, or of the GPU, since the run began."),
)

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}
RANKABLE: tuple[str, ...] = tuple(
    metric.name for metric in METRICS if metric.direction != "none" and not metric.again
)
# Of a metric that ranks, the name under which a run's end measures it again.
AGAIN: dict[str, str] = {metric.again: metric.name for metric in METRICS if metric.again}
# What a search may go by beside the metric that ranks.
ALSO_SEARCHED: tuple[str, ...] = tuple(sorted(metric.name for metric in METRICS if metric.searched))


def lower_is_better(name: str) -> bool:
    """Of a metric that is searched on."""
    metric = BY_NAME[name]
    return (metric.searched or metric.direction) == "min"
