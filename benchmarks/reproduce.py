"""python -m benchmarks.reproduce [TABLE ...] [--place FOLDER] [--write]: the report's tables at small scale.

Runs search_spaces/report/tableN.yaml with scale=small and warmup=corrected (tables 1, 2, 3, 10 and 13 unless
others are named), on the text of benchmarks/texts.py, and prints each report. --write: into
docs/reproduction.md, between its two marks, in the place of the same table's former one. A run that was cut
off goes on; one that has ended is only read again.
"""

import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.document import DOCS, finish, options
from benchmarks.texts import text_of, zero_shot
from sweeper.results.report import Report, report
from sweeper.store.queries import Reader
from sweeper.terminal.report_text import markdown

ROOT = Path(__file__).parent.parent
TABLES = (1, 2, 3, 10, 13)
PICKS = ("scale=small", "warmup=corrected")
JUDGE = ["objective.name=ar", "model.size=nano", "pretrain.steps=0", "finetune.steps=2000", "seed=100"]
DOCUMENT = DOCS / "reproduction.md"
BEGIN, END = "<!-- tables: made by python -m benchmarks.reproduce -->", "<!-- end of tables -->"


def main() -> None:
    parser = options("reproduce", __doc__)
    parser.add_argument("tables", nargs="*", type=int, default=list(TABLES))
    parser.add_argument("--place", type=Path, default=Path("runs/reproduce"))
    given = parser.parse_args()
    given.place.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{given.place.resolve()}/sweeps.db"
    rows: list[dict[str, Any]] = []
    sections = []
    for table in given.tables:
        words = ["run", f"search_spaces/report/table{table}.yaml", *PICKS, *own(table, given.place)]
        done = subprocess.run(
            [sys.executable, "-m", "sweeper", *words, "--db", url], stdout=subprocess.DEVNULL
        )
        if done.returncode not in (0, 4):
            sys.exit(f"table {table} ended with exit code {done.returncode}")
        found, minutes = read(url, f"table{table}-corrected-small")
        sections.append(section(found, table, words))
        rows.append({"table": table, "minutes": round(minutes, 1), **found.to_json()})
        print(sections[-1], flush=True)
    if given.write:
        write(sections)
    minutes = sum(row["minutes"] for row in rows)
    others = [] if given.tables == list(TABLES) else given.tables
    finish(
        "-".join(["reproduce", *map(str, others)]),
        {"picks": PICKS, "text": {table: text_of(table) or "pydocs" for table in given.tables}},
        rows,
        {"tables": given.tables, "minutes": round(minutes, 1), "words": counted(rows)},
        write=given.write,
    )


def own(table: int, place: Path) -> list[str]:
    """Overrides of this table alone: its text, and what judges its samples."""
    text = text_of(table)
    if table == 5:
        return [*text, *zero_shot(place)]
    if table == 7:
        judge = place / "judge"
        said = [word.removeprefix("trainer.") for word in text] or ["data.length=128"]
        train = [sys.executable, "-m", "trainer", "train", *said, *JUDGE, "--out", str(judge)]
        subprocess.run(train, stdout=subprocess.DEVNULL, check=True)
        return [*text, f"trainer.samples.judge={judge}"]
    return text


def read(url: str, name: str) -> tuple[Report, float]:
    """The report, and the minutes from the sweep's creation to the end of its last trial."""
    with closing(Reader(url)) as reader:
        sweep = reader.sweep(name)
        if sweep is None:
            sys.exit(f"there is no sweep {name}: it was not run")
        ended = max(trial.ended or sweep.created for trial in reader.trials(sweep.id))
        return report(reader, sweep), (ended - sweep.created) / 60


def section(found: Report, table: int, words: list[str]) -> str:
    quoted = [f"'{word}'" if " " in word else word for word in words]
    shown = f"python -m sweeper {' '.join(quoted)}"
    if words[2 + len(PICKS) :] != text_of(table):
        shown = f"python -m benchmarks.reproduce {table}   # makes what this needs:\n{shown}"
    return f"{markdown(found)}```sh\n{shown}\n```\n".replace("## ", "### ", 1)


def write(sections: list[str]) -> None:
    """Each in the place of the former one of its title, tables in order."""
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    former, _, after = rest.partition(END)
    if not rest:
        before = text.rstrip("\n") + "\n\n## The report's tables, at small scale\n"
    found = [f"### {each.strip()}\n" for each in former.split("### ")[1:]] + sections
    by_number = {int(re.findall(r"\d+", each)[0]): each for each in found}
    tables = "\n".join(each for _, each in sorted(by_number.items()))
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{tables}\n{END}{after or chr(10)}")


def counted(rows: list[dict[str, Any]]) -> dict[str, int]:
    words: dict[str, int] = {}
    for row in rows:
        for cells in row["rows"]:
            for cell in cells.values():
                if isinstance(cell, dict) and cell.get("word"):
                    words[cell["word"]] = words.get(cell["word"], 0) + 1
    return words


if __name__ == "__main__":
    main()
