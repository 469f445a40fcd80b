"""Faults in the sweeper: what may be concluded, what is written, and what a resume goes on from."""

from benchmarks.planted.fault import Fault

FAULTS = (
    # --- statistics ---
    Fault(
        "seeds-not-taken-out",
        "statistics",
        "a configuration's mean is that of its runs, whichever seeds they had",
        "sweeper/statistics/field.py",
        "nats_CD = plain_CD - share_CS @ (self.effects_SS @ within_SD)",
        "nats_CD = plain_CD",
    ),
    Fault(
        "degrees-too-many",
        "statistics",
        "the mean of a pair's difference is not taken off its degrees of freedom",
        "sweeper/statistics/differences.py",
        "prior + shared_R - 1, max(",
        "prior + shared_R, max(",
    ),
    Fault(
        "tukey-without-root-2",
        "statistics",
        "Tukey's quantile is taken for one of standard errors of a difference",
        "sweeper/statistics/quantiles.py",
        "within_MZ = special.ndtr(_AT_Z + math.sqrt(2) * q * scale_M1) - lowest_Z",
        "within_MZ = special.ndtr(_AT_Z + q * scale_M1) - lowest_Z",
    ),
    # --- store ---
    Fault(
        "stale-worker-heard",
        "store",
        "rows of an attempt that has been superseded are stored",
        "sweeper/store/writer.py",
        'if found.attempt != attempt or found.state != "running":',
        'if found.state != "running":',
    ),
    Fault(
        "lease-not-asked-for",
        "store",
        "a driver whose lease another one has taken writes on",
        "sweeper/store/leased.py",
        "if sweep.lease_holder != self._holder:",
        "if sweep.lease_holder is None:",
    ),
    Fault(
        "rows-told-twice",
        "store",
        "a row that is stored already counts once more in the summary",
        "sweeper/store/rows.py",
        "        if (row.name, row.step) not in there:\n            new.setdefault",
        "        if row.name:\n            new.setdefault",
    ),
    # --- resume ---
    Fault(
        "trained-again",
        "resume",
        "each attempt has a folder of its own: a trial that goes on begins anew",
        "sweeper/driver/trials.py",
        '"trials", str(self._sweep.id), str(trial))',
        '"trials", str(self._sweep.id), f"{trial}-{attempt}")',
    ),
    Fault(
        "attributes-not-stored",
        "resume",
        "Optuna's own attributes of a proposal are lost with the driver",
        "sweeper/search/proposals.py",
        "attributes = {**frozen.system_attrs, **({REFUSED: refused} if refused else {})}",
        "attributes = {REFUSED: refused} if refused else {}",
    ),
    Fault(
        "pruned-as-complete",
        "resume",
        "the study is told that a pruned trial has come to its end",
        "sweeper/driver/trials.py",
        "return Outcome(pruned=self.last.get(trial))",
        "return Outcome((self.best[trial],)) if trial in self.best else FAILED",
    ),
)
