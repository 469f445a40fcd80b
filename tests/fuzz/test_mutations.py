"""Seeded mutations of specifications, corpora, tokenizers and checkpoints: each is read, or refused in words.

`FUZZ=500 pytest tests/fuzz -s` tries more of each, and prints what became of them.
"""

import json
import math
import os
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from sweeper.planning.plan import plan
from sweeper.spec.load import read_spec
from sweeper.spec.yaml_source import InvalidSpec
from trainer.checkpoints import checkpoint
from trainer.data.documents import documents_of
from trainer.data.pretrained import pretrained
from trainer.data.tokenizer import train_bpe
from trainer.errors import CheckpointError, DataError

TRIES = int(os.environ.get("FUZZ", "40"))
LONGEST = 5.0  # CPU-seconds of one
LARGEST = 500 << 10  # KiB that all of a kind may add to the memory of this process: what bounds each
SPECS = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))
STRANGE = (
    b"",
    b"\x00",
    b"\xff",
    b"[" * 5000,
    b"{",
    b"}",
    b"null",
    b"true",
    b"1e400",
    b"9" * 5000,
    b"-1",
    b"'",
    b"&a",
    b"*a",
    b": ",
)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """One to three changes: a bit, a cut, a piece doubled, moved or replaced by something strange."""
    for _ in range(rng.randint(1, 3)):
        at, to = sorted(rng.randrange(len(content) + 1) for _ in range(2))
        to = min(to, at + rng.choice((1, 4, 40, 4000)))
        kind = rng.randrange(5)
        if kind == 0 and content:
            at = rng.randrange(len(content))
            content = content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
        elif kind == 1:
            content = content[:at] + content[to:]
        elif kind == 2:
            content = content[:to] + content[at:]
        elif kind == 3:
            content = content[:at] + rng.choice(STRANGE) + content[to:]
        else:
            content = content[:at]
    return content


def tried(what: str, whole: bytes, read: Callable[[bytes], None], refused: type[Exception]) -> None:
    """Every other exception is a traceback, and fails with its seed."""
    ended: Counter[str] = Counter()
    read(whole)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(TRIES):
        content = mutated(whole, random.Random(f"{what} {seed}"))
        began = time.process_time()
        try:
            read(content)
            ended["read"] += 1
        except refused as error:
            ended["refused" if str(error) else "refused without a word"] += 1
        except Exception as error:
            raise AssertionError(f"{what}, seed {seed}: {type(error).__name__}: {error}") from error
        assert time.process_time() - began < LONGEST, (what, seed)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < LARGEST, what
    print(f"{what}: {TRIES} tried, {dict(ended)}")
    assert ended["refused"]
    assert ended.keys() <= {"read", "refused"}


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_specifications(spec: Path) -> None:
    def read(content: bytes) -> None:
        plan(read_spec(content.decode(errors="replace"), "spec", "name"))

    tried(spec.stem, spec.read_bytes(), read, InvalidSpec)


def test_no_number_of_a_specification_is_read_from_what_is_none() -> None:
    """Wherever one stands, in a list or a range, too: nothing is taken for right, or for nothing."""
    for seed in range(TRIES):
        rng = random.Random(f"number {seed}")
        document = YAML(typ="safe").load(rng.choice(SPECS).read_text())
        group, key = rng.choice(list(numbers_in(document)))
        group[key] = rng.choice((True, False, {}, [], [[1]], {"a": 1}, "x", "", "1 2", math.nan, math.inf))
        text = json.dumps(document).replace("NaN", ".nan").replace("Infinity", ".inf")  # JSON is YAML
        with pytest.raises(InvalidSpec):
            pytest.fail(f"number {seed}: {key} is read: {read_spec(text, 'spec', 'name')}")


def numbers_in(node: Any) -> Iterator[tuple[Any, Any]]:
    """Each by what it stands in, and where there."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield node, key
        yield from numbers_in(value)


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet", ".jsonl.gz", ".jsonl.zst"])
def test_corpora(tmp_path: Path, suffix: str) -> None:
    from tests.trainer.data.test_documents import write

    whole = write(tmp_path / f"whole{suffix}").read_bytes()
    path = tmp_path / f"one{suffix}"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        assert all(isinstance(text, str) and text.strip() for text in documents_of(path, "text", "line"))

    tried(suffix, whole, read, DataError)


def test_tokenizers(tmp_path: Path) -> None:
    train_bpe(["some text of a few words " * 20], 300).save(tmp_path)
    path = tmp_path / "tokenizer.json"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        pretrained(str(tmp_path)).encode_batch(["some text"])

    tried("tokenizer.json", path.read_bytes(), read, DataError)


def test_checkpoints(tmp_path: Path) -> None:
    """None is read whose tensors or facts are others: the one thing that no sentence would make good."""
    path, facts = tmp_path / "last.safetensors", {"step": 7, "config": {"a": [1, None, "b"]}}
    like = {"model.a": torch.arange(12.0).reshape(3, 4), "ema.b": torch.arange(5)}
    checkpoint.save(path, like, facts)

    def read(content: bytes) -> None:
        path.write_bytes(content)
        with checkpoint.Checkpoint(path) as file:
            found = file.load(like, ("model.", "ema."))
            assert file.facts == {"format": 1, **json.loads(json.dumps(facts))}
        assert all(torch.equal(found[name], tensor) for name, tensor in like.items())

    tried("checkpoint", path.read_bytes(), read, CheckpointError)
