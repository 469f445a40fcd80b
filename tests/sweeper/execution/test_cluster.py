"""Sweeps on Ray clusters of several nodes, all on this machine: joined, refused, and killed in part."""

import socket
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.execution.cluster_ray import Introduction, Pulse, disagreement, find, slots_on, why_not
from sweeper.planning.machine import LacksError
from sweeper.spec.sections import Resources
from sweeper.store.queries import Reader
from tests.sweeper.clusters import LoopbackCluster, cluster
from tests.sweeper.driving import make_spec, run_to_end, told
from tests.sweeper.execution.test_kill import TRAINER, check_ledger
from tests.sweeper.processes import Work, end_of, wait_for

TEXT = (
    TRAINER.rstrip()
    + """
  checkpoint.every: 0.2
space: {finetune.block_size: {choice: [4, 8, 16, 32]}}
search: {sampler: grid, seed: 3}
resources: {cpu: 1, gpu: 0}
"""
)


def start(work: Work, at: LoopbackCluster, text: str = TEXT) -> "subprocess.Popen[str]":
    return work.start(text, address=at.address, **at.environment)


def nothing_lost_nothing_doubled(work: Work, whole: Work) -> None:
    assert told(work.url) == told(whole.url)
    for folder in work.files.glob("trials/*/*/"):
        check_ledger(folder, 5, 16)
    for folder in work.files.glob("stages/*/"):
        check_ledger(folder, 1, 4)
    assert not list(work.files.glob(".seen-*"))


@pytest.fixture
def whole(tmp_path: Path) -> Work:
    """The sweep that nobody disturbed, without Ray: the same Driver, the same trainer."""
    work = Work(tmp_path / "whole")
    work.place.mkdir()
    run_to_end(work.url, make_spec(text=TEXT), work.files)
    return work


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_trial_of_a_node_that_died_goes_on_elsewhere(whole: Work, tmp_path: Path) -> None:
    work = Work(tmp_path)
    with cluster(2, FAKE_SECONDS="0.5", FAKE_PIDS=str(work.place / "pids")) as at:
        driver = start(work, at)
        wait_for(lambda: len(at_work(work)) == 2, driver)
        assert sorted(map(parent, at_work(work))) == sorted(at.raylets)
        at.kill(at.raylets[0])
        code, said = end_of(driver)
        assert code == 0, said
        assert "lost its worker; it goes on from its last checkpoint" in said
        assert "raylet" not in said
    nothing_lost_nothing_doubled(work, whole)
    assert sorted(attempts(work)) == [1, 1, 1, 2]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_node_that_has_just_died_is_left_out_and_not_accused(whole: Work, tmp_path: Path) -> None:
    """The cluster takes some seconds to notice: to it the node is alive when the driver joins."""
    work = Work(tmp_path)
    with cluster(2) as at:
        at.kill(at.raylets[0])
        code, said = end_of(start(work, at))
    assert code == 0, said
    nothing_lost_nothing_doubled(work, whole)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_without_its_head_the_driver_ends_and_says_what_to_do(whole: Work, tmp_path: Path) -> None:
    work = Work(tmp_path)
    with cluster(2, FAKE_SECONDS="0.5", FAKE_PIDS=str(work.place / "pids")) as at:
        driver = start(work, at)
        wait_for(lambda: len(at_work(work)) == 2, driver)
        at.kill_head()
        killed = time.monotonic()
        code, said = end_of(driver)
        assert code == 1, said
        assert time.monotonic() - killed < 90
        assert f"the head of the Ray cluster, {at.address}, has not answered for" in said
        assert f"to go on: python -m sweeper resume test --db {work.url} --address {at.address}" in said
    with cluster(
        3, FAKE_SECONDS="0.1", FAKE_PIDS=str(work.place / "pids")
    ) as at:  # another head, another token
        code, said = end_of(start(work, at))
        assert code == 0, said
    nothing_lost_nothing_doubled(work, whole)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def at_work(work: Work) -> set[int]:
    """The processes that train trials now."""
    doing = {}
    for _, pid, what, folder in work.spells():
        if folder.isdigit():
            doing[folder] = pid if what == "begin" else 0
    return set(doing.values()) - {0}


def attempts(work: Work) -> list[int]:
    with closing(Reader(work.url)) as reader:
        return [trial.attempt for trial in reader.trials(1)]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_cluster_that_does_not_admit_the_driver_is_said(tmp_path: Path) -> None:
    """Another token, none, another version of Ray: a sentence and exit code 7, and no trial is begun."""
    other = "import ray; ray.__version__ = '2.59.0'; from tests.sweeper.drive import main; exit(main())"
    with cluster(0) as at:
        works = [Work(tmp_path / name) for name in ("token", "none", "version", "nodes")]
        for work in works:
            work.place.mkdir()
        drivers = [
            works[0].start(TEXT, address=at.address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64),
            works[1].start(TEXT, address=at.address, RAY_AUTH_MODE="disabled"),
            works[2].start(TEXT, address=at.address, code=other, **at.environment),
            works[3].start(TEXT, address="auto", RAY_ADDRESS=at.address, **at.environment),
        ]
        expected = ["does not admit", "does not admit", "they must be the same", "no node of the cluster has"]
        for work, driver, sentence in zip(works, drivers, expected, strict=True):
            code, said = end_of(driver)
            assert code == 7, said
            assert sentence in said.splitlines()[-1]
            with closing(Reader(work.url)) as reader:
                assert reader.trials(1) == []


# --- without a cluster ----------------------------------------------------------------------------
def test_nothing_there_is_said_soon(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(LacksError, match=r"nothing answers at .*does a firewall let it be"):
        find(address)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "http://head:6379", "head:", ":6379"])
def test_an_address_that_is_none_is_a_usage_error(address: str, tmp_path: Path) -> None:
    for command in (["run", "search_spaces/smoke.yaml"], ["resume", "x"]):
        said = CliRunner().invoke(app, [*command, "--address", address, "--db", f"sqlite:///{tmp_path}/a.db"])
        assert said.exit_code == 2
        assert "HOST:PORT" in said.output


MISMATCH = """Version mismatch: The cluster was started with:
    Ray: 2.59.0
    Python: 3.12.1
This process on 10.0.0.1 was started with:
    Ray: 2.60.0
    Python: 3.11.7
"""


def test_rays_refusals_are_sentences() -> None:
    assert why_not("head:1", RuntimeError(MISMATCH)) == (
        "the cluster at head:1 runs Ray: 2.59.0 Python: 3.12.1, and this process Ray: 2.60.0 Python: 3.11.7: "
        "they must be the same"
    )
    assert "RAY_AUTH_TOKEN_PATH" in why_not("head:1", ConnectionError("Failed to connect"))
    assert why_not("head:1", ValueError("no\nraylet")).endswith("from this machine: no raylet")


@given(
    st.lists(st.tuples(st.integers(0, 64), st.integers(0, 8)), max_size=5),
    st.sampled_from([0.5, 1, 2, 3]),
    st.sampled_from(["auto", 0, 0.25, 0.5, 1, 2]),
    st.sampled_from(["auto", 1, 3, 1000]),
)
def test_slots_fit_on_the_nodes(
    nodes: list[tuple[int, int]], cpu: float, gpu: float | str, wanted: int | str
) -> None:
    """Laid out greedily, node by node, so many trials find their place, and one more does not."""
    resources = Resources.model_validate({"cpu": cpu, "gpu": gpu, "slots": wanted})
    try:
        slots = slots_on(resources, nodes)
    except LacksError:
        slots = None
    share = slots.gpu if slots else float(gpu) if gpu != "auto" else float(any(gpus for _, gpus in nodes))
    room = 0
    for cpus, gpus in nodes:
        shares = [1.0] * gpus
        while cpus >= cpu and (not share or sum(shares) >= share):
            if 0 < share < 1:
                at = next((i for i, left in enumerate(shares) if left >= share - 1e-9), None)
                if at is None:
                    break
                shares[at] -= share
            else:
                for _ in range(int(share)):
                    shares.pop()
            cpus -= cpu
            room += 1
    assert (slots.number if slots else 0) == (room if wanted == "auto" else min(int(wanted), room))


def test_what_differs_on_a_node_is_said() -> None:
    here = Introduction("head", "abc", "2.13.0", True)
    assert disagreement(here, [here, here._replace(host="n1")], "/files") == ""
    for change, sentence in (
        ({"program": "abd"}, "node n1 has another version of this program than head"),
        ({"torch": "2.12.0"}, "node n1 has torch 2.12.0 and head 2.13.0"),
        ({"sees": False}, "node n1 does not see /files"),
    ):
        assert disagreement(here, [here, here._replace(host="n1", **change)], "/files?x").startswith(sentence)


def test_a_head_that_is_gone_is_felt_and_one_that_comes_back_is_not() -> None:
    given_up: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        pulse = Pulse(address, given_up.append, silence=0.6)
        pulse.start()
        time.sleep(0.3)
        head.close()
        time.sleep(0.3)
        with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))):
            time.sleep(0.7)
            assert given_up == []
        pulse.join(10)
    assert len(given_up) == 1
    assert address in given_up[0]
    rested = Pulse(address, given_up.append, silence=0.1)
    rested.rest()
    rested.start()
    rested.join(5)
    assert len(given_up) == 1
