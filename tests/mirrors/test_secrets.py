"""Planted credentials show in no output, file or process list of a mirror, whatever the hosts answer."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.mirrors.conftest import Only
from tests.mirrors.hugging_face_server import TOKEN as HUGGING_FACE_TOKEN
from tests.mirrors.hugging_face_server import HuggingFace
from tests.mirrors.kaggle_server import TOKEN as KAGGLE_TOKEN
from tests.mirrors.kaggle_server import Kaggle
from tests.mirrors.standin import Answer, Request, StandIn

# Kaggle's client has a fixed port in its mode for tests; ARGV are the address and the arguments of the command.
COMMAND = """
import sys
address, *sys.argv[1:] = sys.argv[1:]
if "kaggle:" in sys.argv[3]:
    from kagglesdk import kaggle_env
    kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.TEST] = address
from pipeline.release import main
from pipeline.base.command import command
raise SystemExit(command("release", main))
"""


def watch_processes(host: StandIn, token: str, seen: list[str]) -> None:
    """Lets a host look at all command lines at every fourth request."""
    answer = host.answer

    def watching(request: Request) -> Answer:
        if len(host.requests) % 4 == 1:
            seen.extend(line for line in _command_lines() if token in line)
        return answer(request)

    host.answer = watching  # type: ignore[method-assign]


def _command_lines() -> list[str]:
    done = subprocess.run(["ps", "-eo", "args", "ww"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("host", "token", "to", "fault"),
    [
        (HuggingFace(), HUGGING_FACE_TOKEN, "hf://some-org", "POST .*/commit/main"),
        (Kaggle("some-owner"), KAGGLE_TOKEN, "kaggle://some-owner", "/CreateModelInstance$"),
    ],
)
def test_credentials_show_nowhere(only: Only, host: StandIn, token: str, to: str, fault: str) -> None:
    hub, seen = only("vit-publisher/vit_demo_fe/1"), list[str]()
    watch_processes(host, token, seen)
    outputs = []
    with host.running() as address:
        settings = {
            "HF_TOKEN": token, "KAGGLE_API_TOKEN": token, "KAGGLE_API_ENVIRONMENT": "TEST", "HF_ENDPOINT": address,
            "HF_HUB_DISABLE_XET": "1",
        }  # fmt: skip
        words = ["run", str(hub), to, "--artifacts", str(hub.parent / "artifacts")]
        host.fail(fault, 403, f"not for {token}")
        for expected in (1, 0):
            done = subprocess.run(
                [sys.executable, "-c", COMMAND, address, *words], cwd=ROOT, env={**os.environ, **settings},
                capture_output=True, text=True, check=False, timeout=120,
            )  # fmt: skip
            assert done.returncode == expected, done.stderr
            outputs += [done.stdout, done.stderr]
    assert "Traceback" not in "".join(outputs)
    files = [path.read_text() for path in hub.parent.rglob("*.json")]
    assert any(f'"target": "{to}"' in text for text in files)
    assert not [text for text in outputs + files if token in text]
    assert not seen
