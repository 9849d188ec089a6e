"""Tests of pipeline.targets.open: what an address may be."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.extras import install_line
from pipeline.base.fault import Fault
from pipeline.targets.folder import Folder
from pipeline.targets.open import open_target


def test_folder(tmp_path: Path) -> None:
    for address in (str(tmp_path / "a b"), f"{(tmp_path / 'a b').as_uri()}"):
        target = open_target(address)
        assert isinstance(target, Folder)
        assert target.address == address
        target.create("c", b"")
    assert (tmp_path / "a b/c").exists()


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("", "no address"),
        ("https://example.org/hub", "cannot release to https: addresses"),
        ("sftp://example.org/hub", "cannot release to sftp: addresses"),
        ("file://elsewhere/hub", "another machine"),
        ("http://[::1/hub", "no address"),
    ],
)
def test_other_addresses_are_refused(address: str, part: str) -> None:
    with pytest.raises(Fault, match=part) as refusal:
        open_target(address)
    assert "expected a folder, s3://<bucket>/<prefix>, gs://" in str(refusal.value)


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("s3://name:planted@bucket/hub", "has credentials"),
        ("s3://bucket/hub?X-Amz-Signature=planted", "has credentials, a query"),
        ("az://hub?sig=planted", "has credentials, a query"),
        ("gs://planted@bucket/hub", "has credentials"),
        ("s3:bucket/hub", "names no bucket"),
        ("s3://", "names no bucket"),
        ("gs:///hub", "names no bucket"),
        ("s3://bucket/../other", "expected a path in the hub"),
        ("s3://bucket//hub", "expected a path in the hub"),
    ],
)
def test_incomplete_and_secret_addresses_are_refused(address: str, part: str) -> None:
    with pytest.raises(Fault, match=part) as refusal:
        open_target(address)
    assert "planted" not in str(refusal.value)


def test_address_of_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    for address in ("s3://bucket", "s3://bucket/", "s3://bucket/a/hub/"):
        assert open_target(address).address == address


def test_missing_library_is_named() -> None:
    code = """
import sys
sys.modules |= {"obstore": None, "google.cloud": None}
from pipeline.base.fault import Fault
from pipeline.targets.open import open_target
for address in ("s3://bucket/hub", "gs://bucket/hub"):
    try:
        open_target(address)
    except Fault as fault:
        print(fault)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"s3://bucket/hub: needs obstore; install it with {install_line('release')}",
        f"gs://bucket/hub: needs google-cloud-storage; install it with {install_line('release')}",
    ]
