"""What is written of a pretrain stage? Sweeps share it; an attempt number fences off whoever was before."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select, update

from sweeper.store.engine import StoreError, insert_or_ignore
from sweeper.store.leased import clean
from sweeper.store.places import as_found, as_stored
from sweeper.store.records import StageRecord
from sweeper.store.schema import stages
from sweeper.store.usage import UsageWriter


class StageWriter(UsageWriter):
    def add_stage(
        self, *, key: str, steps: int, values: Mapping[str, Any], folder: str, parent: str | None = None
    ) -> StageRecord:
        """The stage's row; the one there is where another sweep made it. parent: of which it is to go on."""
        with self._transaction() as connection:
            row = {"key": key, "state": "queued", "steps": steps, "values": dict(values), "parent": parent}
            row["folder"] = as_stored(folder, self._engine.url)
            insert_or_ignore(connection, stages, [row])
            return self._stage(connection, key)

    def start_stage(self, key: str, above: int = 0, parent: str | None = None) -> int:
        """-> running, from any state (a complete one's files may be gone); returns the new attempt number.

        above: an attempt that has been in its folder, and that this store may not know. parent: from whose
        end it goes on, where it has not begun."""
        with self._transaction() as connection:
            stage = self._stage(connection, key)
            attempt = max(stage.attempt, above) + 1
            new = {
                "state": "running",
                "attempt": attempt,
                "error": "",
                "started": stage.started or self._clock.wall(),
                "ended": None,
                "parent": parent,
            }
            connection.execute(update(stages).where(stages.c.key == key).values(new))
            return attempt

    def charge_stage(self, key: str, attempt: int, *, cpu_seconds: float, gpu_seconds: float) -> bool:
        """Costs add. False, and nothing written, if `attempt` is stale."""
        with self._transaction() as connection:
            stage = self._stage(connection, key)
            if stage.attempt != attempt or stage.state != "running":
                return False
            new = {
                "cpu_seconds": stage.cpu_seconds + cpu_seconds,
                "gpu_seconds": stage.gpu_seconds + gpu_seconds,
            }
            connection.execute(update(stages).where(stages.c.key == key).values(new))
            return True

    def end_stage(
        self,
        key: str,
        attempt: int,
        state: str,
        *,
        error: str = "",
        cpu_seconds: float = 0.0,
        gpu_seconds: float = 0.0,
    ) -> bool:
        """complete, failed, or queued (to run again). False, and nothing written, if `attempt` is stale."""
        with self._transaction() as connection:
            stage = self._stage(connection, key)
            if stage.attempt != attempt or stage.state != "running":
                return False
            new = {
                "state": state,
                "error": clean(error),
                "ended": None if state == "queued" else self._clock.wall(),
                "cpu_seconds": stage.cpu_seconds + cpu_seconds,
                "gpu_seconds": stage.gpu_seconds + gpu_seconds,
            }
            connection.execute(update(stages).where(stages.c.key == key).values(new))
            return True

    def _stage(self, connection: Connection, key: str) -> StageRecord:
        # Sweeps share stages: the row, not the lease, is what two drivers must take turns on.
        row = connection.execute(select(stages).where(stages.c.key == key).with_for_update()).one_or_none()
        if row is None:
            raise StoreError(f"there is no stage {key} in this database")
        return StageRecord(*row)._replace(folder=as_found(row.folder, self._engine.url))
