"""status: what is shown while a command works in silence."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from types import SimpleNamespace

import pytest

from pipeline.base import status
from pipeline.base.status import Status
from tests.conftest import ROOT


class Clock:
    """A clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(status, "time", SimpleNamespace(monotonic=lambda: self.now))


def test_off_a_terminal_silence_is_broken_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock, shown = Clock(monkeypatch), Status("validate m")
    shown.tick()
    shown.begin("gradients")
    for clock.now in range(200):
        shown.tick()
    assert capsys.readouterr().err.splitlines() == [
        f"validate m: gradients: {seconds} s so far" for seconds in (10, 30, 70, 130, 190)
    ]


def test_lines_reset_the_patience(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock, shown = Clock(monkeypatch), Status("validate m")
    shown.begin("fe parity")
    for clock.now in range(9, 100, 9):
        shown.print(f"line {clock.now}")
        shown.tick()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"validate m: line {number}" for number in range(9, 100, 9)]


def test_nothing_is_shown_beside_a_progress_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock, shown = Clock(monkeypatch), Status("validate m")
    shown.begin("images")
    with shown.hidden():
        clock.now = 1000
        shown.tick()
    shown.tick()
    assert capsys.readouterr().err == ""


def test_the_status_moves_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    ticked = threading.Event()
    monkeypatch.setattr(status, "INTERVAL", 0.001)
    monkeypatch.setattr(Status, "tick", lambda _: ticked.set())
    with Status("validate m") as shown:
        assert ticked.wait(10)
    assert not shown._thread.is_alive()


def on_a_terminal(label: str = "validate m", total: int | None = 4, **environment: str) -> str:
    """Returns what a terminal of 100 columns is shown of a step."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    code = f"""
from pipeline.base.status import Status
with Status({label!r}, {total}) as status:
    status.begin("fe parity")
    status.print("pass  fe parity")
    status.begin("fe gradients")
"""
    inherited = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, stderr=theirs, check=True, env=inherited | environment)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    return shown


def test_on_a_terminal_a_line_moves_below_the_finished_steps() -> None:
    shown = on_a_terminal()
    assert "validate m:   0%|" in shown
    assert "0/4, fe parity, 0 s" in shown
    assert "validate m: pass  fe parity\r\n" in shown
    assert "1/4, fe gradients, 0 s" in shown


def test_the_label_may_be_any_path_and_steps_need_not_be_counted() -> None:
    assert "a {b} %s/m: fe parity, 0 s" in on_a_terminal("a {b} %s/m", None)


def test_commands_of_a_parallel_make_draw_no_lines_over_each_other() -> None:
    assert on_a_terminal(MAKEFLAGS=" -j2 --jobserver-auth=3,4") == "validate m: pass  fe parity\r\n"
