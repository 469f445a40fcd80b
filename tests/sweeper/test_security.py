"""Where a running sweep and the dashboard listen, and to whom; where passwords and tokens are not."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path

import pytest

from dashboard.data import shown_url
from sweeper.cli.main import app
from sweeper.store.engine import StoreError, parse
from tests.sweeper import postgres
from tests.sweeper.processes import Work, end_of, kill, launch, wait_for

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux has /proc")
TEXT = """
name: test
trainer: {data: {name: pydocs, length: 64}, model.size: nano, finetune.steps: 60, evaluation.every: 30}
space: {finetune.block_size: {choice: [4, 8]}}
search: {sampler: grid, seed: 3}
resources: {cpu: 1, gpu: 0, slots: 2}
"""
SECRET = "s3cret-of-nobody"
# A client of Ray's control service, the door that every other one is behind.
CLIENT = """
import sys
from ray._raylet import GcsClient
print(len(GcsClient(address=sys.argv[1]).internal_kv_keys(b"", None, timeout=20)), "keys")
"""


def tree(root: int) -> dict[int, bytes]:
    """The process and all that descend from it: pid -> its arguments."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    arguments = {}
    for pid in found:
        with suppress(OSError):
            arguments[pid] = Path(f"/proc/{pid}/cmdline").read_bytes()
    return arguments


def listening(pids: dict[int, bytes]) -> list[tuple[int, str, int]]:
    """(pid, address, port) of every TCP socket on which one of them waits for others."""
    sockets = {}
    for table in ("tcp", "tcp6"):
        for words in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:]):
            if words[3] == "0A":
                address, _, port = words[1].partition(":")
                sockets[f"socket:[{words[9]}]"] = (_address(address), int(port, 16))
    found = []
    for pid in pids:
        with suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    if (name := os.readlink(descriptor)) in sockets:
                        found.append((pid, *sockets[name]))
    return found


def _address(digits: str) -> str:
    """As /proc prints it: words of four bytes, each in the machine's order."""
    raw = b"".join(int(digits[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(digits), 8))
    address = ip_address(raw)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address)


def beyond_loopback(sockets: list[tuple[int, str, int]]) -> list[tuple[int, str, int]]:
    return [each for each in sockets if not ip_address(each[1]).is_loopback]


def environment(pid: int, name: str) -> str:
    pairs = dict(each.partition(b"=")[::2] for each in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    return pairs.get(name.encode(), b"").decode()


def files_with(text: str, *folders: Path) -> list[Path]:
    found = []
    for file in (each for folder in folders for each in folder.rglob("*")):
        with suppress(OSError):
            if file.is_file() and text.encode() in file.read_bytes():
                found.append(file)
    return found


def test_listening_sees_what_listens_beyond_loopback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as own, socket.create_server(("", 0)) as everybodys:
        ports = own.getsockname()[1], everybodys.getsockname()[1]
        found = listening({os.getpid(): b""})
        assert (os.getpid(), "127.0.0.1", ports[0]) in found
        assert beyond_loopback(found) == [(os.getpid(), "0.0.0.0", ports[1])]


class Sweep:
    """One that runs, and its Ray."""

    def __init__(self, work: Work, driver: "subprocess.Popen[str]"):
        self.work, self.driver = work, driver
        before = len(work.spells())
        wait_for(lambda: len(work.spells()) >= before + 2, driver)  # both workers have begun
        self.scratch = Path(next(work.files.glob("trials/*/ray.folder")).read_text())
        self.processes = tree(driver.pid)
        self.sockets = listening(self.processes)
        gcs = next(pid for pid, arguments in self.processes.items() if b"gcs_server" in arguments)
        self.gcs = f"127.0.0.1:{next(port for pid, _, port in self.sockets if pid == gcs)}"
        self.token = environment(gcs, "RAY_AUTH_TOKEN")

    def ask(self, token: str | None) -> "subprocess.CompletedProcess[str]":
        """As another process would that knows the port, and perhaps a token."""
        own = {"RAY_AUTH_MODE": "disabled"} if token is None else {"RAY_AUTH_MODE": "token"}
        own = {**os.environ, **own, "RAY_AUTH_TOKEN": token or ""}
        command = [sys.executable, "-c", CLIENT, self.gcs]
        return subprocess.run(command, env=own, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweep]:
    """Started by a user who has switched Ray's tokens off, and whose secret stands in the arguments."""
    work = Work(tmp_path_factory.mktemp("sweep"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        driver = work.start(TEXT, seconds=1.0)
    try:
        yield Sweep(work, driver)
    finally:
        if driver.poll() is None:
            kill(driver)
        work.lose_rays_files()


def test_a_running_sweep_listens_on_loopback_only(sweep: Sweep) -> None:
    owners = {sweep.processes[pid].split(b"\0")[0].rpartition(b"/")[2] for pid, _, _ in sweep.sockets}
    assert {b"gcs_server", b"raylet"} <= owners
    assert len(sweep.sockets) >= 6  # the driver's, the control service's, the raylet's two, the workers' two
    assert beyond_loopback(sweep.sockets) == []
    assert not [name for name in owners if b"Dashboard" in name]  # Ray's: its agent runs, and serves nothing


def test_a_client_without_the_token_is_refused(sweep: Sweep) -> None:
    assert len(sweep.token) == 64
    for token in (None, "0" * 64):
        refused = sweep.ask(token)
        assert refused.returncode != 0
        assert "AuthenticationError" in refused.stderr
    known = sweep.ask(sweep.token)
    assert known.returncode == 0, known.stderr
    assert "keys" in known.stdout


def test_rays_http_server_asks_for_the_token(sweep: Sweep) -> None:
    agent = next(pid for pid, words in sweep.processes.items() if words.startswith(b"ray::RuntimeEnvAgent"))
    port = next(port for pid, _, port in sweep.sockets if pid == agent)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/get_runtime_envs_info", data=b"", timeout=20)
    assert refused.value.code == 401


def test_the_token_is_in_the_environment_alone(sweep: Sweep) -> None:
    assert not [each for each in sweep.processes.values() if sweep.token.encode() in each]
    assert (sweep.scratch / "r" / "session_latest").exists()
    assert files_with(sweep.token, sweep.scratch, sweep.work.place) == []


def test_rays_files_are_closed_to_other_users(sweep: Sweep) -> None:
    """Ray makes its own folder writable for everybody."""
    assert sweep.scratch.stat().st_mode & 0o077 == 0


@pytest.mark.long
def test_after_a_kill_there_is_another_token(sweep: Sweep) -> None:
    """The last of those that share the sweep: it kills the driver."""
    kill(sweep.driver)
    scratch = sweep.scratch
    again = Sweep(sweep.work, sweep.work.start(TEXT, seconds=0.15))
    try:
        assert again.token != sweep.token
        assert "AuthenticationError" in again.ask(sweep.token).stderr
        assert not scratch.exists()
        code, output = end_of(again.driver)
        assert code == 0, output
        assert sorted(sweep.work.files.glob("trials/*/*/ledger.txt"))
        assert not again.scratch.exists()
    finally:
        again.driver.kill()


@pytest.mark.long
def test_a_databases_password_is_nowhere(tmp_path: Path) -> None:
    """But in the driver's arguments, where the user wrote it: in nothing that it prints, stores or starts."""
    folder = postgres.binaries()
    if folder is None:
        pytest.skip("no PostgreSQL server is installed: apt-get install postgresql")
    (tmp_path / "spec.yaml").write_text(TEXT)
    with postgres.server(folder) as url:
        fake = ("tests.sweeper.drive", url, str(tmp_path / "files"), str(tmp_path / "spec.yaml"))
        work = Work(tmp_path)
        driver = launch(*fake, FAKE_SECONDS="0.2", FAKE_PIDS=str(tmp_path / "pids"))
        try:
            sweep = Sweep(work, driver)
            others = {pid: words for pid, words in sweep.processes.items() if pid != driver.pid}
            assert not [words for words in others.values() if postgres.PASSWORD.encode() in words]
            assert files_with(postgres.PASSWORD, sweep.scratch, tmp_path) == []
            driver.send_signal(signal.SIGINT)
            code, output = end_of(driver)
        finally:
            driver.kill()
        assert code == 130, output
        assert postgres.PASSWORD not in output
        assert files_with(postgres.PASSWORD, tmp_path) == []
        dump = subprocess.run(
            [
                "psql",
                url.replace("+psycopg", ""),
                "-Atc",
                "SELECT database_to_xml(true, true, '')",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "<name>test</name>" in dump.stdout
        assert postgres.PASSWORD not in dump.stdout


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/db",
        f"postgresql+psycopg://me:half@{SECRET}@127.0.0.1:1/db",
        f"postgresql+psycopg://me:half@{SECRET}:1/x@127.0.0.1:1/db",
        f"postgresql+psycopg://127.0.0.1:1/db?user=me&password={SECRET}",
        f"postgresql+psycopg://me:{SECRET}@127.0.0.1:port/db",
        f"me:{SECRET}@127.0.0.1/db",
        f"mysql://me:{SECRET}@127.0.0.1/db",
        f"postgresql+nodriver://me:{SECRET}@127.0.0.1/db",
    ],
)
@pytest.mark.parametrize(
    "command", [["status"], ["list"], ["leaderboard", "x"], ["doctor"], ["resume", "x"]], ids=" ".join
)
def test_no_command_repeats_a_password(url: str, command: list[str]) -> None:
    from typer.testing import CliRunner

    for flags in ([], ["--json"]):
        said = CliRunner().invoke(app, [*command, *flags, "--db", url])
        assert said.exit_code in (2, 7)
        assert said.output
        assert SECRET not in said.output
        assert "half" not in said.output


def test_an_at_sign_in_a_password_is_asked_for_in_its_escaped_form() -> None:
    with pytest.raises(StoreError, match="%40"):
        parse(f"postgresql+psycopg://me:half@{SECRET}@host/db")
    assert parse("postgresql+psycopg://me:half%40other@host/db").password == "half@other"
    assert parse("sqlite:///a@b@c.db").database == "a@b@c.db"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql+psycopg://me:{SECRET}@host/db", "postgresql+psycopg://me:***@host/db"),
        (f"postgresql+psycopg://me:a@{SECRET}@host/db", "postgresql+psycopg://me:***@host/db"),
        (f"postgresql+psycopg://host/db?user=me&password={SECRET}", "postgresql+psycopg://host/db"),
        (f"me:{SECRET}@host/db", "***@host/db"),
        ("sqlite:///sweeps.db", "sqlite:///sweeps.db"),
    ],
)
def test_the_dashboard_shows_no_password(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_the_dashboard_listens_on_loopback_and_hides_the_url() -> None:
    """The command replaces itself by Streamlit: the URL that stood in its arguments stands there no more."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    server = launch("sweeper", "dashboard", "--port", port, "--db", f"postgresql://me:{SECRET}@127.0.0.1:1/x")
    try:
        _until(lambda: any(at == int(port) for _, _, at in listening(tree(server.pid))), server)
        assert beyond_loopback(listening(tree(server.pid))) == []
        assert not [words for words in tree(server.pid).values() if SECRET.encode() in words]
    finally:
        server.terminate()
        said, _ = server.communicate(timeout=30)
    assert SECRET not in said


def _until(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
