"""Where the report's tables are written, and the text that they are run on."""

from pathlib import Path

import datasets
import pytest

from benchmarks import reproduce, texts
from benchmarks.reproduce import BEGIN, END, ROOT
from sweeper.spec.inputs import Inputs
from sweeper.spec.load import read_spec
from trainer.data.lm1b import Lm1b
from trainer.data.wikitext import WikiText


def test_a_table_takes_the_place_of_its_former_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = tmp_path / "reproduction.md"
    document.write_text(f"Before.\n{BEGIN}\n{END}\n\n## After\n")
    monkeypatch.setattr(reproduce, "DOCUMENT", document)
    reproduce.write(["### Table 10. Ten\nfirst\n", "### Table 2. Two\nfirst\n"])
    reproduce.write(["### Table 2. Two\nsecond\n"])
    reproduce.write(["### Table 8. Eight\nonce\n"])
    text = document.read_text()
    assert text.startswith(f"Before.\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\n## After\n")
    heads = [line for line in text.splitlines() if line.startswith("### ")]
    assert heads == ["### Table 2. Two", "### Table 8. Eight", "### Table 10. Ten"]
    assert text.count("first") == 1
    assert "second" in text


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(texts, "SHARED", tmp_path / "data")
    for folder in ("wikitext-2", "lm1b", "lambada", "openwebtext"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    (tmp_path / "data" / "lm1b" / "1b_benchmark.dev.tokens").write_text("News , as ever .\nMore of it .\n")
    (tmp_path / "data" / "wikitext-2" / "wiki.test.raw").write_text(
        " \n = A title = \n \n A text , as it is . \n"
    )
    return tmp_path


@pytest.mark.parametrize("table", [1, 2, 3, 4, 5, 6, 8, 10, 11, 13])
def test_every_table_is_sound_on_its_text(table: int, shared: Path) -> None:
    text = (ROOT / "search_spaces" / "report" / f"table{table}.yaml").read_text()
    overrides = [*reproduce.PICKS, *reproduce.own(table, shared)]
    spec = read_spec(text, f"table{table}.yaml", f"table{table}", overrides, Inputs(offline=True))
    corpus = "openwebtext" if table in texts.OF_OPENWEBTEXT else "files"
    assert {spec.train_config(entry, 0).data.name for entry in spec.always} == {corpus}
    assert spec.name == f"table{table}-corrected-small"


def test_without_that_text_it_is_pydocs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "SHARED", tmp_path)
    assert texts.text_of(2) == []
    assert texts.zero_shot(tmp_path) == ["trainer.evaluation.zero_shot=[]"]


def test_plain_files_are_read_by_their_own_classes(shared: Path) -> None:
    said = texts.zero_shot(shared)[0]
    assert [name in said for name in ("lm1b", "lambada", "wikitext")] == [True] * 3
    assert list(Lm1b(path=str(shared / "lm1b")).documents("test")) == ["News, as ever.", "More of it."]
    article = next(iter(WikiText(path=str(shared / "wikitext")).documents("test")))
    assert "A title" in article
