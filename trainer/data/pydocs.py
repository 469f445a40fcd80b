"""English on every machine, without a download: what Python says about itself."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

from trainer.data.base import PARSING, DataSet, Split, split_of
from trainer.errors import DataError

# Raise it when a change here changes a single character of a document.
TEXT_VERSION = 1

# Tests have little prose, and many distributions do not install them.
LEFT_OUT = {"test", "tests", "idle_test", "site-packages"}
SHORTEST_DOCUMENT = (
    200  # characters; below it stand generated modules: 'Python Character Mapping Codec cp037 ...'
)
SHORTEST_REPEAT = 40  # characters; shorter paragraphs ('Return None.') are common words, not copies


class PyDocs(DataSet):
    """The language reference's topics and the docstrings of the running Python's standard library.

    A document is a topic, or a module with all its docstrings in order. Modules are read as source, never
    imported. A paragraph that stands in several places (the topics quote each other, posixpath is much
    like ntpath) is kept once, so that no split holds what another one does. About 2 MB of text.
    """

    name: Literal["pydocs"] = "pydocs"

    def documents(self, split: Split) -> Iterator[str]:
        # By name, not by text: a document stays in its split from one Python version to the next.
        return (text for name, text in _documents().items() if split_of(name) == split)

    def fingerprint(self) -> dict[str, str]:
        sizes = "".join(f"{name} {path.stat().st_size}\n" for name, path in _modules().items())
        return {
            "source": "pydocs",
            "python": ".".join(map(str, sys.version_info[:3])),
            "modules": hashlib.sha256(sizes.encode()).hexdigest()[:16],  # a distribution may leave some out
            "version": str(TEXT_VERSION),
        }


@cache
def _documents() -> dict[str, str]:
    """Every document under its name, topics first. Raises DataError where Python came without its sources."""
    sources = {f"topic {name}": text for name, text in _topics().items()}
    sources |= {f"module {name}": "\n\n".join(_docstrings(path)) for name, path in _modules().items()}
    if not _modules():
        raise DataError("This Python came without the sources that pydocs is made of: use data.name=files.")
    # The longest first: 'specialnames' is a chapter, and quotes are what is left of its sections elsewhere.
    seen: set[str] = set()
    kept = {
        name: "\n\n".join(_first_time(_paragraphs(sources[name]), seen))
        for name in sorted(sources, key=lambda name: (-len(sources[name]), name))
    }
    return {name: kept[name] for name in sources if len(kept[name]) >= SHORTEST_DOCUMENT}


def _topics() -> dict[str, str]:
    from pydoc_data.topics import topics  # plain data, 0.7 MB

    return dict(sorted(topics.items()))


@cache
def _modules() -> dict[str, Path]:
    """The standard library's Python sources by dotted name. In a virtual environment, those of its base."""
    root = Path(sysconfig.get_path("stdlib"))
    modules = {}
    for top in sorted(sys.stdlib_module_names):
        for path in [root / f"{top}.py", *sorted((root / top).rglob("*.py"))]:
            parts = path.relative_to(root).with_suffix("").parts
            if path.is_file() and not LEFT_OUT.intersection(parts):
                modules[".".join(parts)] = path
    return modules


def _docstrings(path: Path) -> Iterator[str]:
    source = path.read_bytes()
    if b'"""' not in source and b"'''" not in source:
        return  # and need not be parsed
    with PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in old modules
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            return  # templates and the like
    yield from _docstrings_below(tree)


def _docstrings_below(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        text = ast.get_docstring(node)
        if text:
            yield text
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield from _docstrings_below(child)


def _paragraphs(text: str) -> list[str]:
    """Paragraphs without rules (`****`, `+---+`), trailing blanks, tabs and other control characters."""
    lines = [re.sub(r"[^\S\n]", " ", line.expandtabs()).rstrip() for line in text.splitlines()]
    prose = "\n".join(line for line in lines if not line or re.search(r"[^\W_]", line))
    return [each.strip("\n") for each in re.split(r"\n{2,}", prose) if each.strip()]


def _first_time(paragraphs: list[str], seen: set[str]) -> Iterator[str]:
    for paragraph in paragraphs:
        key = " ".join(paragraph.split())
        if len(key) < SHORTEST_REPEAT or key not in seen:
            seen.add(key)
            yield paragraph
