"""A store whose file is damaged, by seeded mutation: each command answers, or refuses in words.

What a flipped bit makes of a number or a name, nobody can tell from what was written: SQLite has no sums."""

import json
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.test_command_lines import CODES, answered
from tests.fuzz.test_mutations import LONGEST, TRIES, mutated
from tests.sweeper.driving import make_spec, run_to_end

READING = (
    *("list", "status test", "status test --json", "leaderboard test", "show test 1", "compare test 1 2"),
    *("repro test 1", "export test", "stages", "gc --dry-run", "note test", "objective test", "report test"),
    *("profile test finetune.block_size", "importance test", "judge test 1 2"),
)
PAGE = 4096


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    """All of it in one file, with nothing in its log."""
    run_to_end(f"sqlite:///{tmp_path}/s.db", make_spec("search.trials=3"), tmp_path / "files")
    with (
        closing(sqlite3.connect(tmp_path / "s.db")) as store,
        closing(sqlite3.connect(tmp_path / "one")) as to,
    ):
        store.backup(to)
    return (tmp_path / "one").read_bytes()


def test_each_command_answers_or_refuses(
    whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file, ended = tmp_path / "damaged.db", Counter[int]()
    for seed in range(TRIES):
        rng = random.Random(f"store {seed}")
        at = rng.randrange(0, len(whole), PAGE)
        content = (
            whole[:at] + mutated(whole[at : at + PAGE], rng)[:PAGE].ljust(PAGE, b"\0") + whole[at + PAGE :]
        )
        file.write_bytes(content if rng.random() < 0.8 else mutated(whole, rng))
        words = [*rng.choice(READING).split(), "--db", f"sqlite:///{file}"]
        began = time.process_time()
        code, said = answered(words)
        assert code in CODES, (seed, words, code, said)
        assert code == 0 or said.strip(), (seed, words, code)
        assert time.process_time() - began < LONGEST, (seed, words)
        ended[code] += 1
        for left in tmp_path.glob("damaged.db*"):
            left.unlink()
    print(f"{TRIES} stores: by exit code {dict(sorted(ended.items()))}")
    assert ended[7]


def test_what_is_no_specification_any_more_is_said_to_be_none(
    whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is whole; one value in a sweep's specification is another."""
    monkeypatch.chdir(tmp_path)
    file, url = tmp_path / "damaged.db", f"sqlite:///{tmp_path}/damaged.db"
    for seed in range(TRIES):
        rng = random.Random(f"specification {seed}")
        file.write_bytes(whole)
        with closing(sqlite3.connect(file)) as store, store:
            document = [json.loads(store.execute("SELECT spec FROM sweeps").fetchone()[0])]
            group, key = rng.choice([*places(document), *[(document, 0)] * 9])
            group[key] = rng.choice((None, True, -1, 1.5, "", "x", [], {}, [None], {"a": 1}))
            store.execute("UPDATE sweeps SET spec = ?", (json.dumps(document[0]),))
        words = rng.choice((*READING, "settle test", "extend test 1", "stop test", "retry test"))
        code, said = answered([*words.split(), "--db", url])
        assert code in CODES, (seed, key, words, code, said)


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Each value by what it stands in, and where there."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        yield node, key
        yield from places(value)
