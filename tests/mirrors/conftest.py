"""A hub to mirror: that of the tests of releases, with modules that have folders."""

import functools
import hashlib
import io
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.package import package
from tests.conftest import once
from tests.hubs import read_document, write_document
from tests.releasing.hubs import copy_part, rewrite, write_released_hub


@pytest.fixture(scope="session")
def mirrored_hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub that may be mirrored. Tests must not change it."""
    return once(tmp_path_factory, "mirrored", _write) / "hub"


def _write(folder: Path) -> None:
    hub = write_released_hub(folder)
    document = read_document(hub)
    for handle in document["modules"]:
        write_model(folder / "models" / handle, handle.encode())
        replace_tarball(hub, handle, folder / "models" / handle)


def write_model(folder: Path, content: bytes) -> None:
    """Writes files as those of a SavedModel, in two folders."""
    for path, text in (
        ("saved_model.pb", b"graph of " + content),
        ("variables/variables.data-00000-of-00001", content * 40_000),
        ("variables/variables.index", b"index of " + content),
        ("assets.extra/provenance.json", b"{}\n"),
        ("assets.extra/empty", b""),
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text)


def replace_tarball(hub: Path, handle: str, folder: Path) -> None:
    """Gives a version another tarball, as nobody should."""
    path = hub / f"{handle}.tar.gz"
    package(folder, path)
    document = read_document(hub)
    tarball = document["modules"][handle]["files"][0]
    tarball |= {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    write_document(hub, document)


def unpack(hub: Path, handle: str) -> dict[str, bytes]:
    """Returns the files in a version's tarball, by path."""
    with tarfile.open(fileobj=io.BytesIO((hub / f"{handle}.tar.gz").read_bytes())) as archive:
        members = [(member.name, archive.extractfile(member)) for member in archive if member.isfile()]
        return {name: stream.read() for name, stream in members if stream}


Only = Callable[..., Path]


@pytest.fixture(scope="session")
def parts(mirrored_hub: Path, tmp_path_factory: pytest.TempPathFactory) -> Only:
    """Returns a hub that has some versions of `mirrored_hub` alone. Tests must not change it."""

    @functools.cache
    def part(*handles: str) -> Path:
        hub = copy_part(mirrored_hub, tmp_path_factory.mktemp("part") / "hub", lambda name: name in handles)
        for handle in handles:  # a card links to its companion, which may be missing now
            text = re.sub(r"\[([^]]*)\]\(\.\./vit_[^)]*\)", r"\1", (hub / f"{handle}.md").read_text())
            rewrite(hub, f"{handle}.md", text, revised=False)
        return hub

    return part


@pytest.fixture
def only(parts: Only, tmp_path: Path) -> Only:
    """Copies a hub that has some versions of `mirrored_hub` alone; a test may change the copy."""

    def copy(*handles: str) -> Path:
        return Path(shutil.copytree(parts(*handles), tmp_path / f"part{len(handles)}"))

    return copy


@pytest.fixture
def hub(mirrored_hub: Path, tmp_path: Path) -> Path:
    """A copy of `mirrored_hub` that a test may change."""
    return Path(shutil.copytree(mirrored_hub, tmp_path / "hub"))
