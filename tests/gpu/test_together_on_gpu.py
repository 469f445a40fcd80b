"""Runs that meet in one process on a card: each as it is alone, whoever was there at each step."""

import threading
import time

import pytest
import torch

from tests.gpu.learners import distance, learner_of, tokens_for, vector
from trainer.network.captures import memory_given_back
from trainer.training.learner import Learner, Step
from trainer.training.together import Alone, Rendezvous

pytestmark = pytest.mark.gpu
STEPS = 12


def trained(learner: Learner, by: Alone | Rendezvous, pause_at: int) -> None:
    """pause_at: a step before which it does something else for a while, on the same device."""
    for step in range(1, STEPS + 1):
        if step == pause_at:
            ones = torch.ones(512, 512, device=learner.device)
            for _ in range(3):
                memory_given_back()  # others may be capturing
                assert ones.matmul(ones).sum().item() == 512**3
                time.sleep(0.1)
        x0_BL = tokens_for(learner, step).cpu()
        by.take(learner, Step(x0_BL, learner.config.finetune, "finetune", step, step))
    by.leave(learner)


@pytest.mark.parametrize("graph", ["off", "auto"])
def test_runs_that_meet_are_what_they_are_alone(graph: str, device: torch.device):
    meeting = Rendezvous()
    met, alone = (
        [learner_of(device, seed=seed, compute__graph=graph) for seed in range(3)] for _ in range(2)
    )
    threads = [
        threading.Thread(target=trained, args=(learner, meeting, 4 * seed + 2))
        for seed, learner in enumerate(met)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(met, alone, strict=True):
        trained(other, Alone(), 0)
        assert distance(vector(one.model.parameters()), vector(other.model.parameters())) < 1e-3
        assert distance(vector(one.average.parameters()), vector(other.average.parameters())) < 1e-3
