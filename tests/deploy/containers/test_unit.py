# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Proves what the first process of each container does, on real processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[3] / "deploy/containers/unit.py"
SIGN = """
import os, socket, time
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect(os.environ["NOTIFY_SOCKET"])
sender.send(b"READY=1")
"""


IMPATIENT = """
import json, runpy, sys
values, *sys.argv = sys.argv[1:]
main = runpy.run_path(sys.argv[0])["main"]
main.__globals__.update(json.loads(values))
sys.exit(main())
"""


PATIENCES_S = (2, 15, 100)
"""A unit's patience, s: each after the first for a machine that was too busy for the one before."""


def unit(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", str(UNIT), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@contextmanager
def server(status: int) -> Iterator[tuple[str, ThreadingHTTPServer]]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(self.server.status)  # type: ignore[attr-defined]
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    listening.status = status  # type: ignore[attr-defined]
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}/", listening
    finally:
        listening.shutdown()
        listening.server_close()


def takes_sigterm(process: subprocess.Popen[str]) -> bool:
    """Whether a process has its own handler of SIGTERM by now, which Python installs some time after the start."""
    caught = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    assert caught is not None
    return bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_ends_with_1_when_its_command_ends_whatever_the_status():
    for status in (0, 7):
        done = unit("--", "sh", "-c", f"exit {status}")
        _, said = done.communicate()
        assert done.returncode == 1
        assert said == f"sh: ended with status {status}\n"


def test_it_ends_a_command_that_gives_no_sign_and_all_that_it_started(tmp_path):
    child = tmp_path / "child"
    for starting_s in (1, *PATIENCES_S):
        child.write_text("")
        done = unit("--signs", "--starting-s", str(starting_s), "--", "sh", "-c", f"sleep 600 & echo $! >{child}; wait")
        _, said = done.communicate(timeout=240)  # its child has the same standard error
        assert done.returncode == 1
        assert re.search(r"no sign for \d+ s", said)
        if child.read_text():  # it came so far before it was ended
            break
    assert not is_running(int(child.read_text()))


def test_a_command_that_stops_giving_signs_is_ended_though_it_runs():
    begin = time.monotonic()
    done = unit("--signs", "--patience-s", "2", "--", sys.executable, "-c", SIGN + "time.sleep(600)")
    _, said = done.communicate()
    assert done.returncode == 1
    assert "no sign for" in said
    assert time.monotonic() - begin >= 2


def test_signs_and_the_watchdog_are_those_of_systemd():
    for patience_s in PATIENCES_S:
        signs = SIGN + f"\nfor _ in range(6):\n    time.sleep({patience_s / 4})\n    sender.send(b'WATCHDOG=1')\n"
        signs += "print(os.environ['WATCHDOG_USEC'], flush=True)\n"
        done = unit("--signs", "--patience-s", str(patience_s), "--", sys.executable, "-c", signs)
        said, error = done.communicate()
        if "ended with status 0" in error:
            break
    assert said.strip() == f"{patience_s}000000"
    assert "ended with status 0" in error  # it lived for longer than its patience, by its signs


def test_sigterm_ends_the_command_in_order_and_counts_as_well(tmp_path):
    ended = tmp_path / "ended"
    started = tmp_path / "started"
    done = unit("--", "sh", "-c", f"trap 'touch {ended}; exit' TERM; touch {started}; while :; do sleep 0.1; done")
    assert until(started.exists)
    done.send_signal(signal.SIGTERM)
    done.communicate()
    assert done.returncode == 0
    assert ended.exists()


def test_a_server_is_ended_once_nobody_answers_at_its_address():
    for patience_s in PATIENCES_S:
        with server(200) as (url, listening):
            done = unit("--ask", url, "--patience-s", str(patience_s), "--", "sleep", "600")
            with contextlib.suppress(subprocess.TimeoutExpired):
                done.wait(2 * patience_s)
            has_lived = done.poll() is None
            listening.status = 500  # type: ignore[attr-defined]
            _, said = done.communicate()
        if has_lived:
            break
    assert has_lived
    assert done.returncode == 1
    assert f"{url} answers 500" in said


@pytest.mark.parametrize(("status", "well"), [(200, True), (401, True), (404, True), (500, False), (503, False)])
def test_the_health_check_takes_a_request_for_a_password_for_an_answer_and_an_error_for_none(status, well):
    with server(status) as (url, _):
        done = unit("--probe", url)
        said, _ = done.communicate()
    assert done.returncode == (0 if well else 1)
    assert said == ("well\n" if well else f"{url} answers {status}\n")


def test_the_health_check_fails_where_nobody_listens():
    with server(200) as (url, _):
        pass
    done = unit("--probe", url)
    said, _ = done.communicate()
    assert done.returncode == 1
    assert "does not answer" in said


def test_the_command_starts_once_the_file_that_it_needs_is_there(tmp_path):
    needed, begun = tmp_path / "orthanc.json", tmp_path / "begun"
    waiting = unit("--after", str(needed), "--starting-s", "1", "--", "touch", str(begun))
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(2)
    assert not begun.exists()
    needed.write_text("{}")
    waiting.communicate()
    assert begun.exists()


def test_one_that_waits_for_its_file_ends_when_it_is_told_to(tmp_path):
    waiting = unit("--after", str(tmp_path / "never"), "--", "true")
    assert until(lambda: takes_sigterm(waiting))
    waiting.send_signal(signal.SIGTERM)
    waiting.communicate()
    assert waiting.returncode == 0


def until(condition: Callable[[], object]) -> bool:
    end = time.monotonic() + 240
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(condition())


def impatient(*arguments: str, **values: float) -> subprocess.Popen[str]:
    """Start a unit with other values of its constants."""
    return subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, json.dumps(values), str(UNIT), *arguments], stderr=subprocess.PIPE, text=True
    )


def test_told_to_it_starts_a_command_that_ended_again_and_the_container_goes_on(tmp_path):
    pids = tmp_path / "pids"
    kept = impatient("--again", "--", "sh", "-c", f"echo $$ >>{pids}; exec sleep 600", FIRST_PAUSE_S=0.1)
    for number in range(1, 4):
        assert until(lambda number=number: pids.exists() and len(pids.read_text().split()) == number)
        os.kill(int(pids.read_text().split()[-1]), signal.SIGKILL)
    assert until(lambda: len(pids.read_text().split()) == 4)
    kept.send_signal(signal.SIGTERM)
    _, said = kept.communicate()
    assert kept.returncode == 0
    assert said == 3 * "sh: ended with status -9\n"
    assert not is_running(int(pids.read_text().split()[-1]))


def test_a_command_that_is_never_well_ends_the_container_in_the_end_and_is_tried_less_and_less_often():
    kept = impatient("--again", "--signs", "--", "false", FIRST_PAUSE_S=0.1, AGAIN_FOR_S=3)
    _, said = kept.communicate()
    assert kept.returncode == 1
    assert 1 <= said.count("ended with status 1") <= 6  # after pauses of 0.1, 0.2, 0.4, 0.8 and 1.6 s at most


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a network of its own")
def test_it_ends_when_its_container_loses_the_network(tmp_path):
    begun = tmp_path / "begun"  # by then it has seen that there is a network
    command = f"touch {begun}; exec sleep 600"
    script = (
        "ip link set lo up; ip link add eth0 type veth peer name eth1; "
        f"{sys.executable} -I {UNIT} -- sh -c '{command}' & "
        f"until [ -e {begun} ]; do sleep 0.1; done; ip link del eth0; wait $!"
    )
    done = subprocess.run(["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, check=False)
    assert "the container has lost its network" in done.stderr
    assert done.returncode == 1
