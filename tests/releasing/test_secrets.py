"""`make release` with planted credentials, keys and passwords: in no output, file or command line, whatever happens."""

import subprocess
from pathlib import Path

import pytest

from pipeline import keys
from tests.conftest import ROOT, make
from tests.targets.conftest import servers  # noqa: F401
from tests.targets.proxy import Behaviour, Request, echo, good, proxying
from tests.targets.servers import Servers, moto, s3_environment
from tests.test_secrets import command_lines

PLANTED = "planted-secret"  # in each of them
PASSWORD = f"{PLANTED}-password-of-keys"


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN",
                 "HF_TOKEN", "KAGGLE_API_TOKEN", "KAGGLE_KEY", "GOOGLE_APPLICATION_CREDENTIALS"):  # fmt: skip
        monkeypatch.setenv(name, f"{PLANTED}-{name}")


def release(hub: Path, to: object, *settings: str) -> "subprocess.CompletedProcess[str]":
    return make(ROOT, "release", f"HUB={hub}", f"TO={to}", f"ARTIFACTS={hub.parent / 'artifacts'}", "V=1", *settings)


def leaks(folder: Path, *done: "subprocess.CompletedProcess[str]", secret: str = PLANTED) -> list[str]:
    """Returns the outputs and the names of the files that have the secret."""
    assert not [run.stderr for run in done if "Traceback" in run.stderr]
    texts = {f"output {run.args}": f"{run.stdout}{run.stderr}" for run in done}
    texts |= {str(path): path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()}
    return [name for name, text in texts.items() if secret in text]


def test_credentials_of_a_store(
    hub: Path,
    tmp_path: Path,
    servers: Servers,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store that refuses a signature and repeats the request, then one that takes it."""
    seen: list[str] = []
    with proxying(servers.get(moto).url) as proxy:
        for name, value in {**s3_environment(proxy.url), "AWS_SECRET_ACCESS_KEY": f"{PLANTED}-key"}.items():
            monkeypatch.setenv(name, value)

        def watched(request: Request, behaviour: Behaviour) -> Behaviour:
            if len(proxy.requests) % 8 == 1:
                seen.extend(line for line in command_lines() if PLANTED in line)
            return behaviour

        proxy.choose = lambda request: watched(request, echo(403))
        refused = release(hub, "s3://hub/secrets")
        proxy.choose = lambda request: watched(request, good)
        done = release(hub, "s3://hub/secrets")
        assert PLANTED in str(proxy.requests[0].headers)  # the token of the session is sent, so it could be repeated
        assert (refused.returncode, done.returncode) == (2, 0), f"{refused.stderr}{done.stderr}"
    assert "refuses these credentials" in refused.stderr
    assert list(tmp_path.rglob("artifacts/releases/*.json"))
    assert leaks(tmp_path, refused, done) == []
    assert seen == []


def test_keys_and_their_passwords(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGN_PASSWORD", PASSWORD)
    target, folder = tmp_path / "target", tmp_path / "keys"
    first = release(hub, target)
    keys.main(["make", str(target), "--sign", str(folder)])
    texts = [(folder / f"{role}.pem").read_text() for role in ("release", "snapshot", "timestamp")]
    monkeypatch.setenv("SIGNING_KEYS", "".join(texts))
    signed = release(hub, target, "SIGN=env:SIGNING_KEYS", f"ROOT={folder / 'root.json'}")
    monkeypatch.setenv("SIGN_PASSWORD", f"{PASSWORD}-of-others")
    wrong = release(hub, target, "SIGN=env:SIGNING_KEYS")
    done = (first, signed, wrong)
    assert [run.returncode for run in done] == [0, 0, 2], [run.stderr for run in done]
    assert "SIGN=env:SIGNING_KEYS: wrong password; set SIGN_PASSWORD" in wrong.stderr
    assert leaks(tmp_path, *done) == []
    for path in folder.glob("*.pem"):
        path.unlink()
    secret = texts[0].splitlines()[1]
    assert leaks(tmp_path, *done, secret=secret) == []
