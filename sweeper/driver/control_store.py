"""What people ask of a sweep's driver through the store: stop, pause or resume it or a trial; extend it."""

from typing import NamedTuple

from sweeper.driver.event_log import Journal
from sweeper.driver.extension import VERB, NoExtension, asked, extended
from sweeper.spec.spec import SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.writer import Writer

WISHES = ("stop", "pause", "resume")


class Wish(NamedTuple):
    control: int
    verb: str  # of WISHES
    trial: int | None  # None: the sweep itself


class Requests:
    """Each is said once, and done once: a driver that is killed in between leaves it to the next one."""

    def __init__(self, sweep: int, reader: Reader, writer: Writer, journal: Journal):
        self._sweep, self._reader, self._writer, self._journal = sweep, reader, writer, journal
        self._said: set[int] = set()

    def forget_old(self) -> None:
        """What the sweep itself was asked while another driver ran it: whoever starts it wants it to run."""
        for control in self._reader.controls(self._sweep):
            if control.trial is None and control.verb in WISHES:
                self._writer.finish_control(control.id)

    def wishes(self) -> list[Wish]:
        """The new ones, in the order they were asked."""
        new = [c for c in self._reader.controls(self._sweep) if c.verb in WISHES and c.id not in self._said]
        for control in new:
            self._said.add(control.id)
            what = "the sweep" if control.trial is None else f"trial {control.trial}"
            self._journal.file("control", f"asked to {control.verb} {what}", control.trial)
        return [Wish(control.id, control.verb, control.trial) for control in new]

    def done(self, wish: Wish | None) -> None:
        if wish is not None:
            self._writer.finish_control(wish.control)

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
