"""What a run may end with that its user can act on, each as one sentence. No torch."""


class TrainingError(ValueError):
    """The run cannot go on: it diverged, or its folder is in use."""


class CheckpointError(ValueError):
    """A checkpoint is missing, cut off, or made for another network."""


class OtherRun(TrainingError):
    """The folder belongs to another run."""
