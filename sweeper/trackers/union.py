"""Which trackers are there?"""

from sweeper.store.records import SweepRecord
from sweeper.trackers.base import Say, Tracker
from sweeper.trackers.mlflow import MLflow
from sweeper.trackers.tensorboard import TensorBoard
from sweeper.trackers.wandb import Wandb

TRACKERS: tuple[type[Tracker], ...] = (TensorBoard, MLflow, Wandb)


def forms() -> str:
    """'tensorboard:DIR, mlflow:URI or wandb:PROJECT'."""
    *most, last = (f"{each.word}:{each.place}" for each in TRACKERS)
    return f"{', '.join(most)} or {last}"


def is_place(to: str) -> bool:
    """Whether it is one of `forms`."""
    word, _, place = to.partition(":")
    return bool(place) and word in (each.word for each in TRACKERS)


def open_tracker(to: str, sweep: SweepRecord, say: Say) -> Tracker:
    """to: is_place. Raises TrackerError."""
    word, _, place = to.partition(":")
    (tracker,) = (each for each in TRACKERS if each.word == word)
    return tracker.open(place, sweep, say)
