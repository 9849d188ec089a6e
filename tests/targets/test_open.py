"""Tests of pipeline.targets.open: what an address may be."""

from pathlib import Path

import pytest

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
