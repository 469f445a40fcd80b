"""What is wrong with a specification, each thing at its place, each said once."""

from typing import Any

from sweeper.spec.yaml_source import Document, Problem


class Problems:
    """found: those of the document itself first. Paths are the document's, keys what the user calls them."""

    def __init__(self, document: Document):
        self._document = document
        self._unread = {each.key for each in document.problems}
        self._reported: set[tuple[Any, str]] = set()
        self.found = [
            each._replace(key=each.key.removeprefix("trainer.").removeprefix("space."))
            for each in document.problems
        ]

    def add(self, path: str, sentence: str, key: str | None = None) -> None:
        """key: the path, if not said. One problem for each key and place."""
        if path in self._unread:
            return  # it could not even be read, which has been said
        mark, key = self._document.mark(path), path if key is None else key
        if (mark, key) not in self._reported:
            self._reported.add((mark, key))
            self.found.append(Problem(mark, key, sentence))
