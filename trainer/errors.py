"""What a run may end with that its user can act on, each as one sentence. No torch."""


class TrainingError(ValueError):
    """The run cannot go on: it diverged, or its settings cannot be trained."""


class EnvironmentFault(TrainingError):
    """Nothing is wrong with the run: what surrounds it stands in its way, and it goes on without that."""


class DiskFull(EnvironmentFault):
    """It goes on from its last checkpoint once there is room."""


class OtherRun(EnvironmentFault):
    """The folder belongs to another run."""


class StaleAttempt(EnvironmentFault):
    """A later attempt has been in the folder."""

    def __init__(self, sentence: str, attempt: int):
        """attempt: the later one."""
        super().__init__(sentence, attempt)
        self.attempt = attempt

    def __str__(self) -> str:
        return str(self.args[0])


def lacks(what: str, package: str, extra: str) -> str:
    """What is said where a part of the installation is missing that not everyone needs."""
    return (
        f"{what} needs the Python package {package}, which is not installed: pip install {package}, or this "
        f"program with its extra [{extra}]"
    )


class DataError(Exception):
    """A corpus or a tokenizer cannot be had."""


class CheckpointError(ValueError):
    """A checkpoint is missing, cut off, or made for another network."""


class MissingCheckpoint(CheckpointError):
    """There is no such file."""


class DamagedCheckpoint(CheckpointError):
    """What is read is not what was written: cut off, emptied, or changed."""


class DamagedBranch(CheckpointError):
    """The pretrain that the run is to begin with is gone, unfinished or damaged."""


class SamplesError(ValueError):
    """A file of samples is missing, or is not one."""


class JudgeError(ValueError):
    """There is no such judge, or it cannot judge."""


def is_of_memory(raised: Exception) -> bool:
    """torch has no class of its own for a CPU's."""
    text = str(raised)
    of_torch = "out of memory" in text.lower() or "can't allocate memory" in text
    return isinstance(raised, MemoryError) or of_torch
