"""What people ask of a sweep's driver through the store: to stop it or a trial of it, to extend it."""

from sweeper.extension import VERB, NoExtension, asked, extended
from sweeper.journal import Journal
from sweeper.spec import SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.writer import Writer


class Requests:
    """Each is done once, and said."""

    def __init__(self, sweep: int, reader: Reader, writer: Writer, journal: Journal):
        self._sweep, self._reader, self._writer, self._journal = sweep, reader, writer, journal

    def forget_stops(self) -> None:
        """To a driver that is gone: whoever starts a sweep wants it to run."""
        for control in self._reader.controls(self._sweep):
            if control.trial is None and control.verb == "stop":
                self._writer.finish_control(control.id)

    def stops(self) -> list[int | None]:
        """Trials to be stopped; None is the sweep itself."""
        found = [each for each in self._reader.controls(self._sweep) if each.verb == "stop"]
        for control in found:
            self._writer.finish_control(control.id)
            what = "the sweep" if control.trial is None else f"trial {control.trial}"
            self._journal.file("control", f"asked to stop {what}", control.trial)
        return [control.trial for control in found]

    def extended(self, spec: SweepSpec) -> SweepSpec:
        """With as many trials as it is asked for; that is written with the request that is done by it."""
        for control, amount in asked(self._reader.controls(self._sweep)):
            try:
                spec = extended(spec, amount)
                self._writer.extend(spec.search.trials, control)
                self._journal.note(VERB, f"extended to {spec.search.trials} trials")
            except NoExtension as no:
                self._writer.finish_control(control)
                self._journal.note(VERB, str(no))
        return spec
