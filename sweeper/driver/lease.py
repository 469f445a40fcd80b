"""Who drives a sweep? One driver at a time: it holds the sweep's lease in the store, and renews it.

A driver that was halted for longer than its lease (a laptop asleep, SIGSTOP) may wake up beside another one
that has taken the sweep over. Every transaction of its Writer asks for the lease first, so it writes nothing;
and a lease that was lost is never renewed, only taken, by a driver that begins anew.
"""

import hashlib
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from sweeper.spec.spec import SweepSpec
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord
from sweeper.store.store import Store
from sweeper.store.writer import Writer

LEASE = 60.0  # seconds; renewed three times in that time


class HeldSweep(NamedTuple):
    """A sweep whose lease this process has taken, and the store that knows it."""

    spec: SweepSpec  # as it is to be run now
    record: SweepRecord
    reader: Reader
    writer: Writer  # of the lease's holder


@contextmanager
def lease(store: Store, sweep: SweepRecord, seconds: float = LEASE, holder: str = "") -> Iterator[str]:
    """The sweep is this process's; yields the name of the holder: the given one, or a new one.

    Raises LeaseLost where it is another's.

    A driver of this machine that is dead holds nothing: nobody need wait until its lease has run out.
    """
    holder = holder or new_holder()
    if sweep.lease_holder is not None and _is_dead(sweep.lease_holder):
        store.release_lease(sweep.id, sweep.lease_holder)
    store.take_lease(sweep.id, holder, seconds)
    try:
        yield holder
    finally:
        with suppress(StoreError):  # of a database that is gone: why this run ends is said already
            store.release_lease(sweep.id, holder)


def new_holder(token: str = "") -> str:
    """host:pid#..., another for every token, by itself at every call. What follows the # says where the pid
    means something."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}#{_here()}{token or secrets.token_hex(4)}"


def _is_dead(holder: str) -> bool:
    """Surely: its process was one of this machine, and is no more."""
    who, _, what = holder.partition("#")
    if not what.startswith(_here()):
        return False
    pid = int(who.rpartition(":")[2])
    return pid == os.getpid() or not alive(pid)


def _here() -> str:
    """This boot of this machine, and of its containers this one: eight digits. Host names are not enough."""
    parts = [socket.gethostname()]
    with suppress(OSError):  # Linux
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError):  # Linux: dead, but never waited for, as in a container without an init
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True
