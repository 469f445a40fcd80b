"""What of Weights & Biases is known before its library is asked, and how its errors are said."""

import os

import pytest

from sweeper.trackers.base import TrackerError
from sweeper.trackers.wandb import in_sentences, offline


def test_a_variable_that_is_empty_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its library refuses an empty mode."""
    monkeypatch.setenv("WANDB_MODE", "")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:1")
    assert offline() == "127.0.0.1 cannot be reached"
    assert "WANDB_MODE" not in os.environ
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    assert offline() == "WANDB_MODE is dryrun"


def test_an_error_is_said_once() -> None:
    with (
        pytest.raises(TrackerError, match=r"^Weights & Biases, trial-1: no$"),
        in_sentences("trial-1"),
        in_sentences("trial-1"),
    ):
        raise RuntimeError("no\nand more")
