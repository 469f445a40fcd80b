"""A real PostgreSQL server for tests: its own folder, a free port on loopback, gone afterwards."""

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url

PASSWORD = "not-to-be-seen-9031"
numbers = itertools.count()


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl; None where no server is installed."""
    found = shutil.which("initdb")
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")), *([Path(found)] if found else [])]
    return places[-1].resolve().parent if places else None


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Runs one from these binaries; yields the URL of its first database, password included."""
    home = Path(tempfile.mkdtemp(prefix="postgres-"))
    user = _user()
    if user is not None:
        os.chown(home, pwd.getpwnam(user).pw_uid, -1)
    password = home / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(*command: str) -> None:
        subprocess.run(
            command,
            check=True,
            user=user,
            extra_groups=[] if user else None,
            cwd=home,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )

    data, options = str(home / "data"), f"-p {port} -h 127.0.0.1 -k {home} -c fsync=off"
    try:
        run(
            *(str(folder / "initdb"), "-D", data, "-U", "tester", "--auth=scram-sha-256"),
            *("--pwfile", str(password), "--no-sync", "-E", "UTF8", "--locale=C"),
        )
        run(str(folder / "pg_ctl"), "-D", data, "-w", "-o", options, "-l", str(home / "log"), "start")
        try:
            yield f"postgresql+psycopg://tester:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            run(str(folder / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def empty_schema(url: str) -> str:
    """The URL of a new schema of a server's database: made far faster than a database."""
    first, name = make_url(url), f"empty{next(numbers)}"
    plain = first.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return first.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)


def _user() -> str | None:
    """Whom the server runs as: it refuses to be root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
