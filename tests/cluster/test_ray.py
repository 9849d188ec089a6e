"""Stages as tasks of Ray on this machine: the same output, status and sentences as here, and nothing left behind."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.base.run_records import VARIABLE, Outcome, read_record
from tests.cluster.runs import Make, attempts, kill, making, processes_of, wait_until, write_tree

pytestmark = pytest.mark.slow

SECRET = "https://user:sesame-4711@example.org"


@pytest.fixture(scope="module")
def ray_make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """A make with a Ray of its own, which is gone with all its files after the tests of this module."""
    with making(write_tree(tmp_path_factory.mktemp("ray") / "tree"), ADDRESS_WITH_SECRET=SECRET) as make:
        yield make


def test_lines_come_in_order_and_the_status_is_the_stages(ray_make: Make) -> None:
    done = ray_make.run("trial", "lines", "400", stderr=subprocess.STDOUT)
    *lines, last = done.stdout.splitlines()
    assert lines == [str(number) for number in range(400)]
    assert last.startswith("trial lines: ")
    assert done.returncode == 0
    assert ray_make.run("trial", "status", "7").returncode == 7


def test_both_streams_stay_apart(ray_make: Make) -> None:
    done = ray_make.run("trial", "lines", "6")
    assert done.stdout == "0\n2\n4\n"
    assert done.stderr.startswith("1\n3\n5\ntrial lines: ")


def test_a_fault_is_its_sentence_and_is_not_tried_again(ray_make: Make, tmp_path: Path) -> None:
    file = tmp_path / "attempts"
    done = ray_make.run("trial", "fault", str(file))
    assert done.stderr == f"trial: {file}: expected a whole file, and it is empty; fetch it again\n"
    assert (done.returncode, done.stdout) == (1, "")
    assert file.read_text() == "attempt\n"


def test_a_crash_is_the_status_that_a_shell_gives(ray_make: Make) -> None:
    assert ray_make.run("trial", "crash").returncode == 128 + signal.SIGSEGV


def test_the_stage_has_the_folder_and_the_variables_of_its_recipe_and_ray_keeps_none(ray_make: Make) -> None:
    done = ray_make.run("trial", "value", "env:ADDRESS_WITH_SECRET")
    assert done.stdout == f"{len(SECRET)} True {ray_make.tree}/pipeline/trial.py\n"
    files = [path for path in ray_make.temporary.rglob("*") if path.is_file()]
    assert any("raylet" in path.name for path in files)
    assert [path for path in files if b"sesame" in path.read_bytes()] == []


def test_a_killed_worker_costs_another_attempt(ray_make: Make, tmp_path: Path) -> None:
    file = tmp_path / "attempts"
    with ray_make.start("trial", "wait", str(file), stderr=subprocess.STDOUT) as client:
        wait_until(lambda: len(attempts(file)) == 1, "the stage runs")
        stage = attempts(file)[0][0]
        for worker in workers_of(ray_make):
            kill(worker)
        output, _ = client.communicate(timeout=60)
    assert output.startswith("waiting\ntrial wait: its worker was lost; trying again\nwaiting\ndone\n")
    assert client.returncode == 0
    assert not Path(f"/proc/{stage}").exists()


def test_a_killed_process_of_imports_costs_another_attempt(ray_make: Make, tmp_path: Path) -> None:
    file = tmp_path / "attempts"
    with ray_make.start("trial", "wait", str(file), stderr=subprocess.STDOUT) as client:
        wait_until(lambda: len(attempts(file)) == 1, "the stage runs")
        for server in processes_of(ray_make.temporary):
            if b"pipeline.cluster.warm" in Path(f"/proc/{server}/cmdline").read_bytes():
                kill(server)
        output, _ = client.communicate(timeout=60)
    assert output.startswith("waiting\ntrial wait: its node failed (")
    assert "the process that has imported the libraries ended); trying again\nwaiting\ndone\n" in output
    assert client.returncode == 0


def workers_of(make: Make) -> list[int]:
    names = {process: Path(f"/proc/{process}/cmdline").read_bytes() for process in processes_of(make.temporary)}
    return [process for process, name in names.items() if b"ray::trial" in name]


def test_a_killed_client_ends_its_stage(ray_make: Make, tmp_path: Path) -> None:
    file = tmp_path / "attempts"
    with ray_make.start("trial", "wait", str(file)) as client:
        wait_until(lambda: len(attempts(file)) == 1, "the stage runs")
        client.kill()
    wait_until(lambda: not Path(f"/proc/{attempts(file)[0][0]}").exists(), "the stage has ended")


def test_ctrl_c_is_told_as_here(ray_make: Make, tmp_path: Path) -> None:
    file = tmp_path / "attempts"
    with ray_make.start("trial", "wait", str(file)) as client:
        wait_until(lambda: len(attempts(file)) == 1, "the stage runs")
        client.send_signal(signal.SIGINT)
        _, errors = client.communicate(timeout=60)
    assert errors == "trial: interrupted; earlier outputs are kept\n"
    assert client.returncode == 130


def test_a_signal_that_the_recipe_ignores_ends_no_stage(ray_make: Make, tmp_path: Path) -> None:
    """As under nohup, when the terminal is closed."""
    file = tmp_path / "attempts"
    with ray_make.start("trial", "wait", str(file), before=("nohup",)) as client:
        wait_until(lambda: len(attempts(file)) == 1, "the stage runs")
        client.send_signal(signal.SIGHUP)
        assert ray_make.run("trial", "status", "7").returncode == 7  # the runner would have heard of it by then
        assert Path(f"/proc/{attempts(file)[0][0]}").exists()
        assert client.poll() is None


def test_too_large_a_task_is_refused_at_once_and_recorded(
    ray_make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "convert.json"))
    with (tmp_path / "checkpoint.npz").open("wb") as checkpoint:
        checkpoint.truncate(10**12)
    done = ray_make.run("convert", "vit_huge.yaml", str(tmp_path / "checkpoint.npz"), str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(
        "RUNNER=ray: convert vit_huge needs 2,501,500.0 MB of memory, and the largest node offers "
    )
    assert done.stderr.endswith("or use RUNNER=local on a machine with more\n")
    record = read_record(tmp_path / "convert.json")
    assert record
    assert (record.stage, record.outcome, record.sentence) == ("convert", Outcome.FAILED, done.stderr.rstrip())


@pytest.mark.long
def test_a_killed_runner_leaves_nothing(ray_make: Make, tmp_path: Path) -> None:
    """Another one is started by the next recipe; making() sees that nothing is left in the end."""
    file = tmp_path / "attempts"
    with ray_make.start("trial", "wait", str(file)) as client:
        wait_until(lambda: len(attempts(file)) == 1, "the stage runs")
        kill(next(each for each in processes_of(ray_make.temporary) if is_runner(each)))
        _, errors = client.communicate(timeout=30)
    assert client.returncode == 1
    assert errors.startswith("RUNNER=ray: the process that submits the stages was lost, as it is with the head node")
    assert len(errors.splitlines()) == 1
    wait_until(lambda: not processes_of(ray_make.temporary), "all processes have ended")


def is_runner(process: int) -> bool:
    """Whether it is the runner, and not the copy of it that cleans up."""
    return b"pipeline.runner" in Path(f"/proc/{process}/cmdline").read_bytes() and os.getsid(process) == process
