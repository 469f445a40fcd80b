"""What do workers say of themselves? A sample a minute each at most, and of a sweep the newest alone."""

from sqlalchemy import delete, func, select

from sweeper.store.engine import insert_or_ignore
from sweeper.store.leased import Leased
from sweeper.store.records import USAGE_EVERY, Usage
from sweeper.store.schema import usage

MOST = 2000  # samples of a sweep that are kept


class UsageWriter(Leased):
    def add_usage(self, worker: str, trial: int | None, said: Usage, most: int = MOST) -> bool:
        """trial: that it runs; None: a pretrain. False, and nothing written, less than a minute after the
        worker's last sample."""
        now = self._clock.wall()
        mine = usage.c.sweep == self._sweep
        with self._transaction() as connection:
            newest = select(func.max(usage.c.time)).where(mine, usage.c.worker == worker)
            before = connection.execute(newest).scalar()
            if before is not None and before <= now < before + USAGE_EVERY:
                return False
            row = {"sweep": self._sweep, "worker": worker, "time": now, "trial": trial, **said._asdict()}
            insert_or_ignore(connection, usage, [row])
            last = select(usage.c.time).where(mine).order_by(usage.c.time.desc()).offset(most).limit(1)
            oldest = connection.execute(last).scalar()
            if oldest is not None:
                connection.execute(delete(usage).where(mine, usage.c.time <= oldest))
            return True
