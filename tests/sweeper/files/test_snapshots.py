"""Copies of a folder in an object store: on moto's S3 server, and on a folder that plays one."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import fs
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.files.remote import InvalidPlace, check, within
from sweeper.files.snapshots import Damaged, Snapshots, Superseded, sees, try_out
from tests.sweeper.s3 import objects, read, write

pytestmark = pytest.mark.usefixtures("cache")


def test_what_was_pushed_is_fetched(remote: str, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    copies = Snapshots(remote)
    assert copies.fetch(here) is None
    write(here, weights="one", rows="1\n")
    write(here, **{"weights.tmp": "half", ".lock": ""})
    assert copies.push(here)
    assert not copies.push(here), "nothing has changed"
    write(here, rows="1\n2\n", more="")
    assert copies.push(here)
    assert Snapshots(remote).fetch(there)
    assert read(there) == {"weights": "one", "rows": "1\n2\n", "more": ""}
    assert len(objects(remote)) == 4, "what is not needed any more is deleted"
    (here / "more").unlink()
    assert copies.push(here)
    assert Snapshots(remote).fetch(there)
    assert read(there) == {"weights": "one", "rows": "1\n2\n"}
    assert Snapshots(remote).size() == 7
    Snapshots(remote).clear()
    assert objects(remote) == []


def test_what_was_cut_off_is_never_read(remote: str, tmp_path: Path) -> None:
    here = tmp_path / "here"
    write(here, weights="one")
    Snapshots(remote).push(here)
    system, root = fs.FileSystem.from_uri(remote)
    (manifest,) = [path for path in objects(remote) if "/manifests/" in path]
    whole = system.open_input_stream(manifest).read()
    for length in range(0, len(whole) - 1, 1 if remote.startswith("file") else 60):
        with system.open_output_stream(f"{root}/manifests/000009-00000001-later") as out:
            out.write(whole[:length])
        newest = Snapshots(remote).newest()
        assert newest is not None
        assert newest.generation == 1


def test_damage_is_seen(remote: str, tmp_path: Path) -> None:
    here = tmp_path / "here"
    write(here, weights="one")
    Snapshots(remote).push(here)
    assert Snapshots(remote).fault() == ""
    system, _ = fs.FileSystem.from_uri(remote)
    (weights,) = [path for path in objects(remote) if "/objects/" in path]
    with system.open_output_stream(weights) as out:
        out.write(b"two")
    with pytest.raises(Damaged, match="checksum"):
        Snapshots(remote).fetch(tmp_path / "there")
    assert read(tmp_path / "there") == {}
    with system.open_output_stream(weights) as out:
        out.write(b"on")
    assert "damaged" in Snapshots(remote).fault()
    system.delete_file(weights)
    with pytest.raises(Damaged, match="gone"):
        Snapshots(remote).fetch(tmp_path / "there")


def test_names_that_leave_the_folder_are_not_ours(tmp_path: Path) -> None:
    from sweeper.files.snapshots import File, _encoded

    remote, here = f"file://{tmp_path}/store", tmp_path / "here"
    write(here, weights="one")
    Snapshots(remote).push(here)
    (manifest,) = (tmp_path / "store" / "manifests").iterdir()
    manifest.write_bytes(_encoded({"../outside": File("x", "y", 1)}))
    assert Snapshots(remote).newest() is None


def test_a_worker_that_was_cut_off_is_told(remote: str, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    first, second = Snapshots(remote), Snapshots(remote)
    first.fetch(old)
    write(old, weights="1", best="0")
    first.push(old)
    second.fetch(new)
    write(old, weights="2")
    assert first.push(old), "nobody has said anything new yet"
    write(new, weights="3")
    assert second.push(new)
    write(old, weights="4")
    with pytest.raises(Superseded):
        first.push(old)
    assert Snapshots(remote).fetch(tmp_path / "then")
    assert read(tmp_path / "then") == {"weights": "3", "best": "0"}


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    acts=st.lists(
        st.tuples(
            st.sampled_from("ab"), st.sampled_from(["begin", "write", "push", "cut"]), st.integers(0, 9)
        ),
        max_size=25,
    )
)
def test_whatever_two_workers_do_there_is_a_whole_copy(
    acts: list[tuple[str, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A copy is what one of them had when it pushed; once pushed by the later one it stays so."""
    tmp = tmp_path_factory.mktemp("two")
    remote, pushed = f"file://{tmp}/store", []
    copies: dict[str, Snapshots] = {}
    for count, (who, what, number) in enumerate(acts):
        folder = tmp / who
        if what == "begin" or who not in copies:
            copies[who] = Snapshots(remote)
            copies[who].fetch(folder)
            folder.mkdir(exist_ok=True)
        if what == "write":
            write(folder, **{f"f{number % 3}": f"{count} {who}"})
        if what == "cut":  # killed at its number-th write, so with no memory of it
            _push_and_die(copies.pop(who), folder, number % 4)
            copies.pop(who, None)
        if what == "push":
            with suppress(Superseded):
                copies[who].push(folder)
                pushed.append(read(folder))
        look = tmp / f"look{count}"
        if Snapshots(remote).fetch(look):
            assert read(look) in pushed or any(each[1] == "cut" for each in acts[: count + 1])
        else:
            assert not any(pushed)


class Died(BaseException):
    pass


def _push_and_die(copies: Snapshots, folder: Path, writes: int) -> None:
    real, left = copies._write, [writes]

    def write_or_die(path: str, content: Path | bytes) -> None:
        if not left[0]:
            raise Died
        left[0] -= 1
        real(path, content)

    copies._write = write_or_die  # type: ignore[method-assign]
    with suppress(Died, Superseded):
        copies.push(folder)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("ftp://host/x", "no object store"),
        ("s3://me:s3cret@bucket/x", "by the environment"),
        ("s3://bucket/x?secret_key=s3cret", "by the environment"),
    ],
)
def test_a_uri_that_cannot_be_is_refused(uri: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidPlace, match=said) as refused:
        check(uri)
    assert "s3cret" not in str(refused.value)
    database = f"sqlite:///{tmp_path}/a.db"
    for command in (["run", "search_spaces/smoke.yaml"], ["doctor"]):
        answer = CliRunner().invoke(app, [*command, "--files", uri, "--db", database])
        assert answer.exit_code in (2, 7)
        assert said in answer.output
        assert "s3cret" not in answer.output


def test_a_bucket_that_is_not_there_is_said(bucket: str) -> None:
    with pytest.raises(InvalidPlace, match="s3://nobody-has/this cannot be written"):
        try_out(bucket.replace("sweeps/here", "nobody-has/this"))
    try_out(bucket)
    assert not sees(within(bucket, "x"))


def test_within() -> None:
    assert within("/a/b", "c", "d") == "/a/b/c/d"
    assert within("s3://b/p/?region=x", "c", "d") == "s3://b/p/c/d?region=x"
    assert within("s3://b", "c") == "s3://b/c"
