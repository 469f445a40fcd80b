"""What is shown on stderr while a sweep runs: a live table on a terminal, one plain line an event elsewhere.

Rich draws; no markup is read."""

import sys
from collections.abc import Mapping
from datetime import datetime

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sweeper.driver.progress import Lines, Progress, Status
from sweeper.terminal.console import COLOURS, number, perplexity
from sweeper.words import clock, times

SAVE_TITLE, RESTORE_TITLE = "\x1b[22;0t", "\x1b[23;0t"  # of a terminal like xterm; others take no notice


def progress(*, quiet: bool = False, verbose: bool = False) -> Progress:
    """For where stderr goes now. quiet: notes alone. verbose: each report has a line."""
    if quiet:
        return Notes()
    if verbose:
        return Reports()
    return LiveTable() if sys.stderr.isatty() else Lines()


class Notes(Lines):
    """What went wrong, what ended the sweep, and how to go on; of trials nothing."""

    def started(self, trial: int | None, text: str) -> None: ...

    def ended(self, trial: int | None, state: str, text: str) -> None: ...

    def status(self, status: Status) -> None: ...


class Reports(Lines):
    """Each report of a trial, too."""

    def rows(self, trial: int, step: int, values: Mapping[str, float]) -> None:
        said = ", ".join(f"{name} {number(value)}" for name, value in sorted(values.items()))
        self.note(f"trial {trial} step {step:,}: {said}")


class LiveTable:
    """The sweep at a glance, redrawn in place; events scroll by above it."""

    def __init__(self, console: Console | None = None) -> None:
        # Not the stderr of this moment: a run replaces it while Ray's chatter goes to a file.
        self._console = console or Console(stderr=True, markup=False, highlight=False)
        self._live = Live(console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False)
        self._running: dict[int, tuple[int, str]] = {}  # trial: step, its latest values
        self._best: dict[
            int, tuple[float, float]
        ] = {}  # trial: its lowest NELBO, and that one's standard error
        self._live.start()
        self._titled(SAVE_TITLE)

    def started(self, trial: int | None, text: str) -> None:
        if trial is not None:
            self._running[trial] = (0, "")
        self._say(text)

    def rows(self, trial: int, step: int, values: Mapping[str, float]) -> None:
        shown = [f"{name} {number(values[name])}" for name in ("val_ppl", "train_loss") if name in values]
        self._running[trial] = (step, ", ".join(shown) or self._running.get(trial, (0, ""))[1])
        if "val_nelbo" in values and "val_nelbo_se" in values:
            now = values["val_nelbo"], values["val_nelbo_se"]
            self._best[trial] = min(now, self._best.get(trial, now))

    def ended(self, trial: int | None, state: str, text: str) -> None:
        if trial is not None:
            self._running.pop(trial, None)
        self._say(text, COLOURS.get(state, ""))

    def note(self, text: str) -> None:
        self._say(text, "bold")

    def status(self, status: Status) -> None:
        table = Table.grid(padding=(0, 2))
        for trial, (step, shown) in sorted(self._running.items()):
            table.add_row(f"  trial {trial}", f"step {step:,}", shown)
        best, pretrains = leader(status, self._best), [Text(f"  {p.words()}") for p in status.pretrains]
        self._titled(f"\x1b]0;{headline(status).partition(';')[0]}\x07")
        lines = [Text(headline(status)), *([Text(best)] if best else []), *pretrains]
        self._live.update(Group(*lines, table))

    def close(self) -> None:
        self._live.stop()
        self._titled(RESTORE_TITLE)

    def _titled(self, escape: str) -> None:
        """The terminal's title: it says how far the sweep is, and what it was before at the end."""
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._console.file.write(escape)
            self._console.file.flush()

    def _say(self, text: str, style: str = "") -> None:
        now = datetime.now().strftime("%H:%M:%S")
        self._console.print(Text.assemble((now, "dim"), "  ", (text, style)))


def headline(status: Status) -> str:
    """'schedules: 3 of 24 ended, 2 running, 1 failed; 1:12, about 4:30 to go'."""
    so_far = status.progress
    others = [f"{n} {state}" for state, n in status.states.items() if n and state != "complete"]
    to_go = f", about {clock(so_far.seconds_left)} to go" if so_far.seconds_left else ""
    states = ", ".join([f"{so_far.ended} of {so_far.total} ended", *others])
    return f"{status.sweep}: {states}; {clock(so_far.seconds or 0.0)}{to_go}"


def leader(status: Status, evaluated: Mapping[int, tuple[float, float]]) -> str:
    """'lowest val_ppl of one run so far 231.4 [220.1, 243.2], trial 7': of its evaluation's error alone.

    evaluated: trial -> (NELBO, its standard error), of those that reported to this driver.
    """
    if status.best is None:
        return ""
    interval = ""
    trial = status.best_trial
    if status.metric == "val_ppl" and trial is not None and trial in evaluated:
        nelbo, se = evaluated[trial]
        low, high = (perplexity(times(nelbo + z * se)) for z in (-1.96, 1.96))
        interval = f" [{low}, {high}]"
    return (
        f"lowest {status.metric} of one run so far {number(status.best)}{interval}, trial {status.best_trial}"
    )
