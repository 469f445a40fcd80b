"""The watchdog ends a process whose main thread cannot: here one that sits in C and never comes back."""

import signal
import subprocess
import sys
import time

import pytest

BLOCKED = """
import threading
from sweeper.execution.watchdog import Watchdog
watchdog = Watchdog("type it again", silence=SILENCE, grace=GRACE)
watchdog.watch()
BEAT
print("ready", flush=True)
lock = threading.Lock()
lock.acquire()
lock.acquire()
"""


def start(*, silence: float, grace: float, beat: bool, patience: float = 0.0) -> "subprocess.Popen[str]":
    code = BLOCKED.replace("SILENCE", str(silence)).replace("GRACE", str(grace))
    code = code.replace("BEAT", f"watchdog.beat({patience})" if beat else "")
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_silence_after_a_beat_ends_the_process() -> None:
    process = start(silence=0.3, grace=60, beat=True)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert output.strip().endswith("to go on: type it again")


def test_what_takes_long_is_given_its_time_and_no_more() -> None:
    """As Ray's start and stop are."""
    process = start(silence=0.1, grace=60, beat=True, patience=1.5)
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=0.7)
    process.communicate(timeout=30)
    assert process.returncode == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_gives_the_main_thread_some_time_and_no_more(number: signal.Signals, code: int) -> None:
    process = start(silence=60, grace=0.3, beat=False)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == code


def test_a_second_signal_ends_it_at_once() -> None:
    process = start(silence=60, grace=60, beat=False)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=0.8)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


@pytest.mark.long
def test_a_process_that_was_halted_was_not_silent() -> None:
    """Waking up, it first finds out what has become of its lease."""
    process = start(silence=6.5, grace=60, beat=True)
    time.sleep(1.0)
    process.send_signal(signal.SIGSTOP)
    time.sleep(7.0)
    process.send_signal(signal.SIGCONT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=2.0)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert output.strip().endswith("to go on: type it again")
