"""YAML 1.2 text as flat dotted values, each with its place: `schedules.yaml:10:3`.

`trainer: {model.size: nano}`, `trainer.model: {size: nano}` and `trainer.model.size: nano` say the same.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sweeper.spec.environment import Environment, Refused
from trainer.config.problems import first_of

LARGEST = 2**53  # of whole numbers: every float, database and random generator takes them
LONGEST = 200_000  # characters of a text: seconds of reading
MOST_NODES = 20_000  # counted as read: an alias counts each time it is used
DEEPEST = 40
MERGE = "tag:yaml.org,2002:merge"


class Mark(NamedTuple):
    """A place that an error can name. Marks sort as they are read: the file first, then the command line."""

    on_command_line: bool
    line: int  # from 1; on the command line the number of the override
    column: int  # from 1
    source: str

    def __str__(self) -> str:
        return self.source if self.on_command_line else f"{self.source}:{self.line}:{self.column}"


class Problem(NamedTuple):
    mark: Mark
    key: str  # dotted name; '' where the problem belongs to no key
    sentence: str

    def __str__(self) -> str:
        return ": ".join(str(part) for part in self if part)


class InvalidSpec(ValueError):
    """Everything that is wrong with a specification: one line a problem, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]):
        self.problems = sorted(set(problems))
        super().__init__("\n".join(first_of([str(problem) for problem in self.problems])))


@dataclass
class Document:
    """values: dotted path -> value; a list's mappings are flat as well, an empty mapping is a value {}.

    marks: the place of every path, of the groups above it (`trainer.model`) and of list items (`always[0]`).
    """

    source: str
    values: dict[str, Any] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def mark(self, path: str) -> Mark:
        """The place of the path, or of the nearest group around it."""
        while path and path not in self.marks:
            path = re.sub(r"(^|\.)[^.\[]*$|\[\d+\]$", "", path)
        return self.marks.get(path, Mark(False, 1, 1, self.source))

    def problem(self, path: str, sentence: str) -> None:
        self.problems.append(Problem(self.mark(path), path, sentence))

    def put(self, key: str, value: Any, at: str) -> None:
        """A value that stands at another path takes the place of what there is at and below `key`."""
        self.values = {path: v for path, v in self.values.items() if not _related(path, key)}
        self.values[key] = value
        moved = {f"{key}{path[len(at) :]}": m for path, m in self.marks.items() if path.startswith(at)}
        self.marks = dict.fromkeys(_groups(key, ""), self.mark(at)) | self.marks | moved

    def over(self, base: "Document") -> None:
        """What another document says where this one says nothing. A range is one thing, said anew whole."""
        anew = [path.rpartition(".")[0] for path in self.values if path.startswith("space.")]
        mine = [*anew, *self.values]
        for path, value in base.values.items():
            if not any(_related(path, each) for each in mine):
                self.values[path] = value
        self.marks = base.marks | self.marks
        self.problems += base.problems

    def override(self, text: str, number: int) -> None:
        """`key=value` from the command line takes the place of what the file says at and below `key`."""
        key, _, value = text.partition("=")
        key, place = key.strip(), Mark(True, number, 1, f"command line: {text}")
        given = parse(value, text, place, key)
        self.values = {path: v for path, v in self.values.items() if not _related(path, key)}
        self.values.update(given.values)
        self.marks = dict.fromkeys(_groups(key, ""), place) | self.marks | given.marks
        self.problems.extend(given.problems)


def parse(
    text: str,
    source: str,
    place: Mark | None = None,
    at: str = "",
    environment: Environment | None = None,
) -> Document:
    """Reads one YAML document. What is wrong stands in `problems`; a syntax error ends the reading.

    environment: fills in `${NAME}`; without, that is text. place: where every value is said to stand, if not
    where the parser finds it. at: the path of the root."""
    document = Document(source)
    if len(text) > LONGEST:
        said = f"too long: a specification has at most {LONGEST:,} characters"
        document.problems.append(Problem(place or Mark(False, 1, 1, source), at, said))
        return document
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        spot = error.problem_mark or error.context_mark
        mark = place or Mark(False, spot.line + 1 if spot else 1, spot.column + 1 if spot else 1, source)
        document.problems.append(Problem(mark, at, f"not YAML: {_said(error)}"))
    except (YAMLError, RecursionError, ValueError) as error:
        document.problems.append(
            Problem(place or Mark(False, 1, 1, source), at, f"not YAML: {_first_line(error)}")
        )
    else:
        _Walk(document, place, yaml, environment).root(root, at)
    return document


class _Walk:
    def __init__(self, document: Document, place: Mark | None, yaml: YAML, environment: Environment | None):
        self.document = document
        self.place = place
        self.nodes = 0
        self.too_large = False
        self.constructor = yaml.constructor
        self.resolver = yaml.resolver
        self.environment = environment

    def root(self, node: Node | None, at: str) -> None:
        if at:
            self.document.marks[at] = self.mark(node)
            value = self.value(node, at) if node else None
            below = {f"{at}.{key}": v for key, v in value.items()} if isinstance(value, dict) else {}
            self.document.values.update(below or {at: value})
        elif isinstance(node, MappingNode):
            self.mapping(node, "", self.document.values)
        else:
            said = "the file is empty" if node is None else "a file of `key: value` lines is needed"
            self.document.problems.append(Problem(self.mark(node), "", said))

    def mapping(self, node: MappingNode, path: str, into: dict[str, Any], inside: str = "") -> None:
        """path: from the document's root, for marks; inside: from the mapping that `into` is."""
        keys: set[str] = set()
        for key_node, value_node in self.merged(node, path):
            mark = self.mark(key_node)
            if not isinstance(key_node, ScalarNode) or not all(key_node.value.split(".")):
                self.problem(mark, path, "a key is a name, or names joined by dots")
                continue
            here, name = _join(path, key_node.value), _join(inside, key_node.value)
            group = value_node if isinstance(value_node, MappingNode) and value_node.value else None
            is_group = group is not None
            above = [each for each in _groups(name, "") if each in into]
            if (
                key_node.value in keys
                or name in into
                or above
                or (here in self.document.marks and not is_group)
            ):
                first = self.document.mark(here).line
                self.problem(mark, here, f"given twice, first on line {first}")
                continue
            keys.add(key_node.value)
            for each in (*_groups(here, path), here):
                self.document.marks.setdefault(each, mark)
            if group is None:
                into[name] = self.value(value_node, here)
            elif self.enter(group, here):
                self.mapping(group, here, into, name)

    def merged(self, node: MappingNode, path: str, depth: int = 0) -> list[tuple[Node, Node]]:
        """The mapping's lines; then those of the mappings under `<<` whose keys it does not have itself."""
        lines = [pair for pair in node.value if pair[0].tag != MERGE]
        if len(lines) == len(node.value):
            return lines
        keys = {key.value for key, _ in lines if isinstance(key, ScalarNode)}
        for key, value in node.value:
            for each in (
                (value.value if isinstance(value, SequenceNode) else [value]) if key.tag == MERGE else []
            ):
                if not isinstance(each, MappingNode) or depth > DEEPEST:
                    self.problem(self.mark(key), path, "`<<` merges a mapping, or a list of them: <<: *name")
                elif self.enter(each, path):
                    more = self.merged(each, path, depth + 1)
                    lines += [pair for pair in more if pair[0].value not in keys]
                    keys |= {pair[0].value for pair in more if isinstance(pair[0], ScalarNode)}
        return lines

    def value(self, node: Node, path: str) -> Any:
        if isinstance(node, ScalarNode):
            return self.scalar(node, path)
        if not self.enter(node, path):
            return None
        if isinstance(node, SequenceNode):
            items = []
            for i, item in enumerate(node.value):
                self.document.marks[f"{path}[{i}]"] = self.mark(item)
                items.append(self.value(item, f"{path}[{i}]"))
            return items
        flat: dict[str, Any] = {}
        if isinstance(node, MappingNode):
            self.mapping(node, path, flat)
        return flat

    def scalar(self, node: ScalarNode, path: str) -> Any:
        if self.environment and "${" in node.value:
            try:
                node = self.filled(node, self.environment.fill(node.value))
            except Refused as error:
                self.problem(self.mark(node), path, str(error))
                return None
        tag = str(node.tag)
        kind = tag.rpartition(":")[2] if tag.startswith("tag:yaml.org,2002:") else tag
        if kind in ("str", "timestamp"):
            return node.value
        if kind not in ("int", "float", "bool", "null"):
            self.problem(self.mark(node), path, f"the tag {node.tag} is not read; write a plain value")
            return None
        try:
            value = self.constructor.construct_object(node)
        except (YAMLError, ValueError):
            self.problem(self.mark(node), path, f"{node.value[:40]!r} is not a value")
            return None
        if isinstance(value, int) and abs(value) > LARGEST:
            self.problem(self.mark(node), path, f"{node.value[:40]} is too large a number")
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self.problem(self.mark(node), path, f"{node.value[:40]} is not a finite number")
            return None
        return value

    def filled(self, node: ScalarNode, text: str) -> ScalarNode:
        """The node as if the text stood there: a number is a number, unless it is in quotes."""
        tag = node.tag if node.style else self.resolver.resolve(ScalarNode, text, (True, False))
        return ScalarNode(str(tag), text, node.start_mark, node.end_mark, style=node.style)

    def enter(self, node: Node, path: str) -> bool:
        """Against aliases that grow without end, or hold themselves."""
        self.nodes += 1 + len(node.value)
        if self.nodes > MOST_NODES or path.count(".") + path.count("[") > DEEPEST:
            if not self.too_large:  # said once: an alias may hold thousands of such nodes
                self.problem(self.mark(node), path[:80], "too large or too deeply nested")
            self.too_large = True
            return False
        return True

    def mark(self, node: Node | None) -> Mark:
        if self.place or node is None:
            return self.place or Mark(False, 1, 1, self.document.source)
        return Mark(False, node.start_mark.line + 1, node.start_mark.column + 1, self.document.source)

    def problem(self, mark: Mark, key: str, sentence: str) -> None:
        self.document.problems.append(Problem(mark, key, sentence))


def _join(group: str, name: str) -> str:
    return f"{group}.{name}" if group else name


def _groups(path: str, above: str) -> Iterable[str]:
    """The groups that a dotted key opens: ('trainer.model.size', 'trainer') -> 'trainer.model'."""
    for i, letter in enumerate(path):
        if letter == "." and i > len(above):
            yield path[:i]


def _related(path: str, key: str) -> bool:
    return path == key or path.startswith(f"{key}.") or key.startswith(f"{path}.")


def _said(error: MarkedYAMLError) -> str:
    """The parser's words, and plain ones for what people do most."""
    problem = error.problem or error.context or "unreadable"
    if "'\\t'" in problem:
        return "a tab; YAML is indented with spaces"
    if problem == "but found another document":
        return "a second document begins here (`---`); a sweep is one"
    if problem.endswith("got '{'"):
        return f"{problem}; between brackets, ${{NAME}} stands in quotes"
    return problem


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
