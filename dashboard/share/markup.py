"""What is a page made of, in HTML? Every stored string is escaped here, and is text wherever it stands."""

import base64
import hashlib
import html
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import plotly.graph_objects as go

from dashboard.figures.style import BAD

FOLDER = Path(__file__).parent
COLOURS = {  # the page's names of the theme's colours
    "ink": "textColor",
    "ground": "backgroundColor",
    "raised": "secondaryBackgroundColor",
    "line": "borderColor",
    "grey": "grayTextColor",
    "accent": "linkColor",
}


class Column(NamedTuple):
    """Of the board: what is shown of each row, and what it is sorted by (None: not known)."""

    title: str
    cells: Sequence[str]
    keys: Sequence[Any]
    right: bool = True


class Drawn(NamedTuple):
    """A figure, what it shows, and the same for whoever does not see it."""

    title: str
    words: str
    alt: str
    figure: go.Figure


class Section(NamedTuple):
    name: str  # where links lead to
    title: str
    parts: list[str]  # HTML; a section without any is left out


def text(value: object) -> str:
    return html.escape(str(value))


def paragraphs(lines: Sequence[str], kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return "\n".join(f"<p{attribute}>{text(line)}</p>" for line in lines)


def code(lines: str) -> str:
    return f"<pre>{text(lines)}</pre>"


def data(name: str, value: str) -> str:
    """JSON that scripts read. No `<` is left in it, so that nothing in it ends the element or begins one."""
    return f'<script type="application/json" id="{name}">{value.replace("<", chr(92) + "u003c")}</script>'


def board(columns: Sequence[Column], ranked: Sequence[bool]) -> str:
    """A table whose heads sort it."""
    heads = "".join(
        f'<th scope="col"{_side(column)}><button type="button">{_broken(column.title)}</button></th>'
        for column in columns
    )
    rows = "\n".join(
        f"<tr{'' if ranked[i] else _UNRANKED}>"
        + "".join(
            f'<td{_side(column)} data-key="{text(_key(column.keys[i]))}">{text(column.cells[i])}</td>'
            for column in columns
        )
        + "</tr>"
        for i in range(len(ranked))
    )
    return (
        f'<div class="wide board"><table class="sortable"><thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


_UNRANKED = ' class="unranked"'


def facts(rows: Mapping[str, object]) -> str:
    """Names and values."""
    cells = "\n".join(
        f'<tr><th scope="row">{text(name)}</th><td class="text">{text(value)}</td></tr>'
        for name, value in rows.items()
    )
    return f'<div class="wide facts-table"><table><tbody>\n{cells}\n</tbody></table></div>'


def figure(drawn: Drawn, name: str) -> str:
    stored = go.Figure(drawn.figure)
    stored.layout.template = None  # the page has colours of its own
    words = f"<figcaption>{text(drawn.words)}</figcaption>" if drawn.words else ""
    return (
        f"<figure><h3>{text(drawn.title)}</h3>{words}"
        f'<div class="plot" role="img" aria-label="{text(drawn.alt)}" data-figure="{name}"></div>'
        f"{data(name, stored.to_json())}</figure>"
    )


def sections(there: Sequence[Section]) -> str:
    """All of them, and links to them above."""
    links = "".join(f'<a href="#{each.name}">{text(each.title)}</a>' for each in there)
    return f"<nav>{links}</nav>\n" + "\n".join(
        f'<section id="{each.name}"><h2>{text(each.title)}</h2>\n' + "\n".join(each.parts) + "\n</section>"
        for each in there
    )


def document(title: str, body: str, scripts: Sequence[str], config: Mapping[str, Any]) -> str:
    """A page that runs these scripts and no other, and that may fetch nothing: browsers are told so."""
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    ran = "\n".join(f"<script>{script}</script>" for script in scripts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{_style()}</style></head>\n"
        f"<body>\n{body}\n{data('config', json.dumps(config))}\n{ran}\n</body></html>\n"
    )


def _broken(name: str) -> str:
    """A dotted name that may be broken into lines, as a head is on paper."""
    return text(name).replace(".", ".<wbr>").replace("_", "_<wbr>")


def _side(column: Column) -> str:
    return ' class="number"' if column.right else ""


def _key(value: Any) -> Any:
    """As the page's script reads it: a number or a text, of several the first, '' of what is not known."""
    if isinstance(value, list):
        return _key(value[0]) if value else ""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return int(value) if isinstance(value, bool) else value


def _style() -> str:
    """The dashboard's colours of light and dark, and how the page is laid out."""
    theme = tomllib.loads((FOLDER.parent / ".streamlit" / "config.toml").read_text())["theme"]
    light, dark = (
        "".join(f"--{name}:{theme[mode][key]};" for name, key in COLOURS.items())
        for mode in ("light", "dark")
    )
    light += f"--bad:{BAD};--printed-ink:{theme['light'][COLOURS['ink']]};"
    return (
        f":root{{color-scheme:light dark;{light}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
        + (FOLDER / "page.css").read_text(encoding="utf-8")
    )


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
