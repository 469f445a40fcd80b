"""A sweep as one page to give away: a file by itself, read without a server, a network or this program."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import plotly
from plotly.offline import get_plotlyjs

from dashboard import frame, words
from dashboard.figures.style import CONFIG
from dashboard.passports import SPLITS, Passport, passports_of, title_of
from dashboard.share import figures, markup
from dashboard.share.markup import Column, Drawn, Section, text
from dashboard.values import is_plain_number, shown
from sweeper.results.leaderboard import Board
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord

FEW = 4  # values of a provenance that are all said


class Said(NamedTuple):
    """What the terminal says of the sweep, in its words; each word has one home."""

    columns: Sequence[Column]  # of the board, a cell for each of its rows
    method: Sequence[str]  # what the columns mean, and what else to know
    again: Sequence[tuple[str, str]]  # what a line does, and the line
    specification: str  # as it was written
    code_version: str  # of who makes the page


def page(reader: Reader, sweep: SweepRecord, board: Board, said: Said, now: float) -> str:
    """The whole file. now: seconds since 1970."""
    trials, values = reader.trials(sweep.id), reader.configurations(sweep.id)
    searched = frame.searched_names(sweep.spec, trials, values)
    whole = figures.called_by_place(frame.from_board(board, searched))
    rows = whole.head(figures.MOST_ROWS)
    passports = passports_of({split: reader.evaluations(sweep.id, split) for split in SPLITS})
    sections = [
        Section("answer", "Answer", [_answer(board), _drawn("answer", figures.of_the_answer(board, whole))]),
        Section("board", "Board", [_board(board, said.columns)]),
        Section("curves", "Curves", _curves(figures.of_curves(reader, rows, trials, values))),
        Section("values", "Searched values", _searched(*figures.of_values(whole, searched))),
        Section("schedules", "Schedules", _schedules(*figures.of_schedules(board, rows))),
        Section("method", "Method", _method(said, passports)),
        Section("again", "To make it again", _again(sweep, said, passports)),
        Section("specification", "Specification", [markup.code(said.specification)]),
    ]
    body = [
        _head(sweep, board, now),
        f"<noscript>{markup.paragraphs([_NO_SCRIPT])}</noscript>",
        markup.sections([each for each in sections if each.parts]),
    ]
    scripts = [get_plotlyjs(), (markup.FOLDER / "page.js").read_text(encoding="utf-8")]
    return markup.document(sweep.name, "\n".join(body), scripts, CONFIG)


_SCHEDULES = (
    "The finetune phase's noise of the first rows, at the end of training. It shapes training alone: val_ppl "
    "is measured in the same way for all."
)
_OWN_OBJECTIVE = "In training each row has its own objective: only val_ppl compares rows."
_NO_SCRIPT = "Figures and sorting need JavaScript. The numbers stand in the table."
_MORE = "The first {} of {:,} rows; the others: python -m sweeper export."


def _head(sweep: SweepRecord, board: Board, now: float) -> str:
    counts = ", ".join(f"{count:,} {state}" for state, count in board.trials.items())
    when = f"begun {_moment(sweep.created)}" + (f", ended {_moment(sweep.ended)}" if sweep.ended else "")
    line = f"A sweep by {board.metric}, {sweep.state}; {when}; trials: {counts}. As of {_moment(now)}."
    about = markup.paragraphs([sweep.spec["describe"]] if sweep.spec.get("describe") else [])
    return f'<h1>{text(sweep.name)}</h1>\n{about}<p class="facts">{text(line)}</p>'


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _answer(board: Board) -> str:
    alarms = markup.paragraphs(list(board.alarms), "alarm")
    return f'{alarms}<div class="said">{markup.paragraphs(board.said)}</div>'


def _board(board: Board, columns: Sequence[Column]) -> str:
    ranked = [row.rank is not None for row in board.rows][: figures.MOST_ROWS]
    place = Column("", [str(i) for i in range(1, len(ranked) + 1)], range(1, len(ranked) + 1))
    more = _MORE.format(len(ranked), len(board.rows)) if len(board.rows) > len(ranked) else ""
    above = markup.paragraphs(["Click a head to sort by it."], "quiet on-screen")
    return (
        above + markup.paragraphs([more] if more else [], "quiet") + markup.board([place, *columns], ranked)
    )


def _drawn(name: str, drawn: Sequence[Drawn], pairs: bool = False) -> str:
    found = "\n".join(markup.figure(each, f"{name}-{i}") for i, each in enumerate(drawn, start=1))
    return f'<div class="pair">{found}</div>' if pairs and found else found


def _curves(drawn: Sequence[Drawn]) -> list[str]:
    if not drawn:
        return []
    note = [_OWN_OBJECTIVE] if any(each.title != "val_ppl" for each in drawn) else []
    return [markup.paragraphs(note, "quiet"), _drawn("curve", drawn, pairs=True)]


def _searched(drawn: Sequence[Drawn], said: Sequence[str]) -> list[str]:
    return [markup.paragraphs(said, "quiet"), _drawn("value", drawn, pairs=True)] if drawn else []


def _schedules(drawn: Sequence[Drawn], problems: Sequence[str]) -> list[str]:
    return [
        markup.paragraphs([_SCHEDULES, *problems], "quiet"),
        _drawn("schedule", drawn[:1]),
        _drawn("panel", drawn[1:], pairs=True),
    ]


def _method(said: Said, passports: Sequence[Passport]) -> list[str]:
    return [markup.paragraphs([words.HOW_RANKED, *said.method]), *map(_passport, passports)]


def _passport(passport: Passport) -> str:
    hows = {
        name: _values([(how.get(name), count) for how, count in passport.provenances if name in how])
        for name in dict.fromkeys(name for how, _ in passport.provenances for name in how)
    }
    identity = {name: shown(value) for name, value in passport.identity.items()}
    tables = (
        ("Identity: must be equal to rank together.", identity),
        ("Provenance: how it was estimated.", hows),
    )
    parts = "\n".join(
        f"<div>{markup.paragraphs([said], 'quiet')}{markup.facts(rows)}</div>" for said, rows in tables
    )
    title = f"{title_of(passport.split)}, of {passport.trials:,} trials"
    return f'<h3>{text(title)}</h3>\n<div class="pair">{parts}</div>'


def _values(found: Sequence[tuple[Any, int]]) -> str:
    """'sampled (30 trials), enumerated (2 trials)'; of many numbers, from where to where."""
    counts: dict[str, int] = {}
    for value, count in found:
        counts[shown(value)] = counts.get(shown(value), 0) + count
    if len(counts) == 1:
        return next(iter(counts))
    if len(counts) > FEW and all(is_plain_number(value) for value, _ in found):
        numbers = [value for value, _ in found]
        return f"{shown(min(numbers))} to {shown(max(numbers))}"
    parts = [f"{value} ({count} trial{'s' * (count > 1)})" for value, count in list(counts.items())[:FEW]]
    return ", ".join(parts) + (f", and {len(counts) - FEW} more" if len(counts) > FEW else "")


def _again(sweep: SweepRecord, said: Said, passports: Sequence[Passport]) -> list[str]:
    lines = [markup.paragraphs([what]) + markup.code(line) for what, line in said.again]
    return [*lines, "<h3>Versions</h3>", _versions(sweep, passports, said)]


def _versions(sweep: SweepRecord, passports: Sequence[Passport], said: Said) -> str:
    torch = [(how["torch"], n) for each in passports for how, n in each.provenances if "torch" in how]
    python = ".".join(map(str, sys.version_info[:3]))
    rows = {
        "code that ran it": sweep.code_version,
        "torch that evaluated it": _values(torch) if torch else "not stored",
        "code that made this page": f"{said.code_version}; Python {python}, plotly {plotly.__version__}",
    }
    return markup.facts(rows)
