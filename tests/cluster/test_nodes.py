"""Several nodes of Ray on this machine: one is killed, the head is lost, one does not see the shared folder."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.ray_nodes import Cluster, cluster
from tests.cluster.runs import attempts, making, short_temporary, wait_until, write_tree

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree")


@pytest.fixture
def nodes() -> Iterator[Cluster]:
    with short_temporary() as folder:
        try:
            with cluster(folder, workers=2) as nodes:
                yield nodes
        finally:
            with suppress(FileNotFoundError):
                shutil.rmtree(folder / "r")


def address(nodes: Cluster) -> str:
    return f"--address={nodes.address}"


def test_a_killed_node_costs_another_attempt(nodes: Cluster, tree: Path, tmp_path: Path) -> None:
    file = tmp_path / "attempts"
    with (
        making(tree, address(nodes)) as make,
        make.start("trial", "wait", str(file), stderr=subprocess.STDOUT) as client,
    ):
        wait_until(lambda: len(attempts(file)) == 1, "the stage runs")
        stage = attempts(file)[0][0]
        next(node for node in nodes.workers if stage in node.processes()).kill()
        output, _ = client.communicate(timeout=90)
        assert output.startswith("waiting\ntrial wait: its ")
        assert " was lost; trying again\n" in output
        assert "\nwaiting\ndone\ntrial wait: " in output
        assert client.returncode == 0


def test_a_lost_head_is_one_sentence(nodes: Cluster, tree: Path, tmp_path: Path) -> None:
    file = tmp_path / "attempts"
    with making(tree, address(nodes)) as make, make.start("trial", "wait", str(file)) as client:
        wait_until(lambda: len(attempts(file)) == 1, "the stage runs")
        nodes.head.kill()
        _, errors = client.communicate(timeout=90)
    assert len(errors.splitlines()) == 1
    assert "head node of Ray" in errors
    assert errors.endswith("run make again\n")
    assert client.returncode == 1
    wait_until(lambda: not Path(f"/proc/{attempts(file)[0][0]}").exists(), "the stage has ended")
