"""A benchmark writes what git tracks only where --write is said; in any case it ends with one document."""

import ast
import hashlib
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import document
from tests.sweeper.processes import ROOT

TRACKED = {"RESULTS", "DOCS"}  # what document.py calls them
SOURCES = {path.stem: ast.parse(path.read_text()) for path in sorted((ROOT / "benchmarks").glob("*.py"))}
MAINS = sorted(
    name
    for name, tree in SOURCES.items()
    if name != "pictures"  # of a store that it is given; its test is test_pictures.py
    and any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
)
SHORT = {
    "noise": ["--quick"],
    "pruning": ["--quick"],
    "schedules_figures": [],
    "calibration": ["--quick", "--only", "5 configurations"],
    "trained": [],
}  # those that take seconds


def run(name: str, *words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [name, *words])
    importlib.import_module(f"benchmarks.{name}").main()


def test_there_are_benchmarks() -> None:
    assert set(SHORT) < set(MAINS)


@pytest.mark.parametrize("name", MAINS)
def test_every_benchmark_knows_write(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(name, "--help", monkeypatch=monkeypatch)
    assert ended.value.code == 0
    assert "--write" in capsys.readouterr().out


@pytest.mark.parametrize("name", MAINS)
def test_a_quick_run_is_never_kept(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(name, "--quick", "--write", monkeypatch=monkeypatch)
    assert ended.value.code == 2
    assert "--quick" in capsys.readouterr().err


@pytest.mark.parametrize("name", MAINS)
def test_the_document_is_kept_where_write_is_said(name: str) -> None:
    calls = [node for node in ast.walk(SOURCES[name]) if called(node) == "finish"]
    said = [{word.arg: ast.unparse(word.value) for word in call.keywords}["write"] for call in calls]
    assert set(said) <= {"given.write", "False"}
    assert "given.write" in said


@pytest.mark.parametrize("name", MAINS)
def test_tracked_places_are_touched_only_where_write_is_said(name: str) -> None:
    """Places: RESULTS, DOCS and what a module makes of them. To read one is free; a function that does more
    is called where --write is said, and nowhere else."""
    tree = SOURCES[name]
    tracked = set(TRACKED)
    for node in tree.body:
        if isinstance(node, ast.Assign) and names(node.value) & tracked:
            tracked |= {each.id for each in node.targets if isinstance(each, ast.Name)}
    writers = {
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and any(unguarded(function.body, tracked))
    }
    assert "main" not in writers
    loose = [use for function in functions(tree) for use in unguarded(function.body, writers)]
    assert not loose


def functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def called(node: ast.AST) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def unguarded(nodes: list[ast.stmt] | list[ast.AST], wanted: set[str]) -> Iterator[str]:
    """Where one of the names is used outside `given.write`, and not only read."""
    for node in nodes:
        if isinstance(node, ast.If | ast.IfExp) and ast.unparse(node.test) == "given.write":
            otherwise = node.orelse if isinstance(node.orelse, list) else [node.orelse]
            yield from unguarded(otherwise, wanted)
        elif isinstance(node, ast.Attribute) and node.attr in ("read_text", "exists"):
            continue
        elif isinstance(node, ast.Name) and node.id in wanted:
            yield f"line {node.lineno}: {node.id}"
        else:
            yield from unguarded(list(ast.iter_child_nodes(node)), wanted)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name == "noise" else name for name in SHORT]
)
def test_without_write_nothing_is_written_and_the_last_line_is_the_document(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digests()
    run(name, *SHORT[name], monkeypatch=monkeypatch)
    assert digests() == before
    table, last = capsys.readouterr().out.rstrip("\n").rsplit("\n", 1)
    assert list(json.loads(last)) == ["name", "machine", "settings", "rows", "summary"]
    assert table


def digests() -> dict[Path, str]:
    files = [file for folder in (document.RESULTS, document.DOCS) for file in folder.rglob("*")]
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}


@pytest.mark.parametrize("write", [False, True])
def test_what_is_kept_is_what_is_printed(
    write: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(document, "RESULTS", tmp_path / "results")
    document.finish("one", {"a": 1}, [{"b": 2}], {"c": 3}, write=write)
    printed = json.loads(capsys.readouterr().out)
    kept = [json.loads(file.read_text()) for file in tmp_path.rglob("*.json")]
    assert kept == ([printed] if write else [])
