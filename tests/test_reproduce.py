"""reproduce: a published module is made again, to the same bytes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.files import sha256_of
from tests.conftest import ROOT, Stage, assert_refused

pytestmark = pytest.mark.slow
HANDLE = "tester/mini_classification/1"


@pytest.mark.long
def test_a_published_module_is_made_again_with_the_same_bytes(published: Path, tmp_path: Path) -> None:
    """The code is the same, the environment the one at hand; the checkpoint comes from a folder."""
    hub, checkpoints = published / "artifacts/hub", published / "model_cards/tiny"
    options = [f"--hub={hub}", f"--checkpoints={checkpoints}", f"--cache={tmp_path}", "--offline", "--json"]
    command = [sys.executable, "-m", "pipeline.reproduce", HANDLE, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    sha256 = sha256_of(hub / f"{HANDLE}.tar.gz")
    assert result == {
        "handle": HANDLE,
        "verdict": "same bytes",
        "published_sha256": sha256,
        "rebuilt_sha256": sha256,
        "differing_files": [],
        "made_with": "the same code and the environment at hand",
        "differences": [],
    }


def test_without_the_checkpoint_it_cannot_be_made(published: Path, tmp_path: Path, stage: Stage) -> None:
    hub = published / "artifacts/hub"
    done = stage("reproduce", HANDLE, f"--hub={hub}", f"--checkpoints={tmp_path}", f"--cache={tmp_path}", "--offline")
    assert_refused(done, "no source has the checkpoint mini.npz", "reproduce: fetch failed (see above), so the module")
