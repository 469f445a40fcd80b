"""Ray clusters for tests and benchmarks: a head that trains nothing, nodes of one CPU, all on this machine.

python -m tests.sweeper.clusters FOLDER: a line `node`, `gpu` or `end` on stdin; a line of the head's address
and pid, or of a raylet's pid, on stdout. It is a process of its own since Ray reads its token on import.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[2]
SMALL: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 80 << 20}


class LoopbackCluster:
    def __init__(self, process: "subprocess.Popen[str]", token: dict[str, str]):
        self._process = process
        self.environment = token  # of a driver that is to be admitted
        self.address, gcs = self._hear()
        self._gcs = int(gcs)
        self.raylets: list[int] = []  # their pids: a worker's parent

    def _hear(self) -> list[str]:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("made "):
                return line.split()[1:]
        raise RuntimeError("the cluster has ended")

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def add(self, kind: str = "node") -> int:
        """kind: node; gpu, of one that says it had two GPUs. Its raylet's pid."""
        self._say(kind)
        self.raylets.append(int(self._hear()[0]))
        return self.raylets[-1]

    def kill(self, raylet: int) -> None:
        """The node, as when its machine loses power."""
        workers = [
            int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _parent(stat) == raylet
        ]
        for pid in (raylet, *workers):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill_head(self) -> None:
        os.kill(self._gcs, signal.SIGKILL)

    def stop(self) -> None:
        self._say("end")
        self._process.wait(60)


def _parent(stat: Path) -> int:
    with suppress(OSError):  # it has ended meanwhile
        return int(stat.read_text().rpartition(")")[2].split()[1])
    return 0


@contextmanager
def cluster(nodes: int, **environment: str) -> Iterator[LoopbackCluster]:
    """environment: of every node, beside the token."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # the names of sockets are short
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.sweeper.clusters", str(folder)],
        cwd=ROOT,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", **token, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        made = LoopbackCluster(process, token)
        for _ in range(nodes):
            made.add()
        yield made
        made.stop()
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    from ray.cluster_utils import Cluster

    # Ray would note the cluster for everybody on this machine who says `auto`.
    with mock.patch("ray._private.utils.write_ray_address"):
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "temp_dir": sys.argv[1], **SMALL})
        head = made.head_node
        assert head is not None
        nodes = [head]
        print("made", made.gcs_address, head.all_processes["gcs_server"][0].process.pid, flush=True)
        for line in sys.stdin:
            if line == "end\n":
                break
            nodes.append(made.add_node(num_cpus=1, num_gpus=2 if line == "gpu\n" else 0, **SMALL))
            print("made", nodes[-1].all_processes["raylet"][0].process.pid, flush=True)
        for node in reversed(nodes):
            node.kill_all_processes(check_alive=False, allow_graceful=False)
    os._exit(0)


if __name__ == "__main__":
    main()
