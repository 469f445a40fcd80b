"""Everything that happens to a sweep is said twice: in the store, for later, and to whoever started it."""

from sweeper.progress import Progress
from sweeper.store.store import Writer

KINDS = {"complete": "end", "stopped": "end", "failed": "failure", "lost": "failure", "queued": "lost"}


class Journal:
    def __init__(self, writer: Writer, progress: Progress):
        self._writer, self._progress = writer, progress

    def started(self, trial: int | None, text: str) -> None:
        self._writer.add_event("start", text, trial)
        self._progress.started(trial, text)

    def ended(self, trial: int | None, state: str, text: str) -> None:
        """queued: its worker died, and it is to be run again."""
        self._writer.add_event(KINDS[state], text, trial)
        self._progress.ended(trial, state, text)

    def note(self, kind: str, text: str) -> None:
        self.file(kind, text)
        self._progress.note(text)

    def file(self, kind: str, text: str, trial: int | None = None) -> None:
        """For later alone."""
        self._writer.add_event(kind, text, trial)
