"""What a run may end with that its user can act on, each as one sentence. No torch."""


class TrainingError(ValueError):
    """The run cannot go on: it diverged, or its folder is in use."""


class DiskFull(TrainingError):
    """Nothing is wrong with the run: it goes on from its last checkpoint once there is room."""


class DataError(Exception):
    """A corpus or a tokenizer cannot be had."""


class CheckpointError(ValueError):
    """A checkpoint is missing, cut off, or made for another network."""


class SamplesError(ValueError):
    """A file of samples is missing, or is not one."""


class JudgeError(ValueError):
    """There is no such judge, or it cannot judge."""


class OtherRun(TrainingError):
    """The folder belongs to another run."""
