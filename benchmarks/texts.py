"""The text that benchmarks.reproduce trains on: what lies in ../shared/data, else pydocs.

Corpora that lie there as plain files are copied into the hub's layout, so that the trainer reads them by
their own classes, as it reads the hub.
"""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

SHARED = Path("../shared/data")  # as it is written below the tables
OF_OPENWEBTEXT = (4, 5, 6, 7)  # the others are of LM1B, and WikiText stands in for it
SIZE = "length: 128, vocab_size: 2048"


def text_of(table: int) -> list[str]:
    """Overrides for the text that is there; none for pydocs."""
    wikitext, openwebtext = SHARED / "wikitext-2", SHARED / "openwebtext"
    if table in OF_OPENWEBTEXT and openwebtext.is_dir():
        said = f"name: openwebtext, path: {openwebtext}, held_out: 100"
    elif table not in OF_OPENWEBTEXT and wikitext.is_dir():
        files = {"train": "wiki.train.tokens", "valid": "wiki.valid.tokens", "test": "wiki.test.raw"}
        said = ", ".join(f"{split}: {wikitext / file}" for split, file in files.items())
        said = f"name: files, {said}, document: heading"
    else:
        return []
    return [f"trainer.data={{{said}, {SIZE}}}"]


def zero_shot(place: Path) -> list[str]:
    """An override for table 5: those of its corpora that are there."""
    corpora = []
    news, wikitext = SHARED / "lm1b" / "1b_benchmark.dev.tokens", SHARED / "wikitext-2" / "wiki.test.raw"
    if news.is_file():
        lines = news.read_text(encoding="utf-8").splitlines()
        corpora.append(f"{{name: lm1b, path: {_copy(place / 'lm1b', 'plain_text', lines)}}}")
    if (SHARED / "lambada").is_dir():
        corpora.append(f"{{name: lambada, path: {SHARED / 'lambada'}}}")
    if wikitext.is_file():
        lines = wikitext.read_text(encoding="utf-8").splitlines(keepends=True)
        corpora.append(f"{{name: wikitext, path: {_copy(place / 'wikitext', 'wikitext-2-raw-v1', lines)}}}")
    return [f"trainer.evaluation.zero_shot=[{', '.join(corpora)}]"]


def _copy(folder: Path, config: str, texts: Iterable[str]) -> Path:
    """A repository of the hub with a test split alone."""
    (folder / config).mkdir(parents=True, exist_ok=True)
    files = f"- config_name: {config}\n  data_files:\n  - split: test\n    path: {config}/test-*\n"
    (folder / "README.md").write_text(f"---\nconfigs:\n{files}---\n")
    table = pa.table({"text": pa.array(texts, pa.string())})
    parquet.write_table(table, folder / config / "test-00000-of-00001.parquet")
    return folder
