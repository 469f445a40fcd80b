"""docs/tutorial.md, word for word: every command that it shows, in its order, on a text that is made here."""

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_docs import ROOT, commands

WORDS = [
    "loss",
    "noise",
    "block",
    "mask",
    "token",
    "clip",
    "rate",
    "model",
    "step",
    "bound",
    "weight",
    "seed",
]


def texts(folder: Path) -> None:
    """Sentences in which the next word depends on the last one: there is something to learn."""
    draw = random.Random(0)
    folder.mkdir()
    for number in range(40):
        word, said = "loss", []
        for _ in range(1200):
            follow = WORDS[WORDS.index(word) // 3 * 3 : WORDS.index(word) // 3 * 3 + 4]
            word = draw.choice(follow if draw.random() < 0.8 else WORDS)
            said.append(word)
        (folder / f"{number}.txt").write_text(
            ". ".join(" ".join(said[i : i + 12]) for i in range(0, 1200, 12))
        )


@pytest.mark.long
@pytest.mark.timeout(1800)  # beside other work its workers step back
def test_the_tutorial_ends_with_an_answer_and_a_page(tmp_path: Path) -> None:
    texts(tmp_path / "texts")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TRAINER_CACHE": str(tmp_path / "cache")}
    output = ""
    for command in commands(ROOT / "docs" / "tutorial.md"):
        line = re.sub(r"^python", sys.executable, command)
        done = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1500
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        output += done.stdout + done.stderr
    assert "Take row" in output or "beats each" in output or "Not settled" in output
    page = (tmp_path / "mine.html").read_text()
    assert "plotly" in page
    assert any((tmp_path / "results").iterdir())
    assert "To load it" in (tmp_path / "model" / "README.md").read_text()
    assert "--- sample 1" in output
