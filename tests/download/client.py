"""A client with a cache of its own, for the tests of downloads."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.fault import Unavailable
from pipeline.download import cache
from pipeline.download.address import Address
from pipeline.download.http import download
from pipeline.download.retry import Policy

CONTENT = np.random.default_rng(0).bytes(1_000_003)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Client:
    """Downloads into a cache of its own and, instead of pausing, notes the pauses."""

    def __init__(self, folder: Path, **policy: float) -> None:
        self.folder = folder
        self.pauses: list[float] = []
        self.policy = Policy(sleep=self.pauses.append, **policy)  # type: ignore[arg-type]

    def get(self, url: str, expected: str | None = None, token: str | None = None) -> bytes:
        """Downloads a file and returns its content."""
        with cache.open_entry(self.folder, url, "get") as entry:
            sha256 = download(Address(url, lambda: token), entry, "get", self.policy, expected)
            content = entry.file.read_bytes()
            assert sha256 == hashlib.sha256(content).hexdigest()
            return content

    def refused(self, url: str) -> str:
        """Expects that there is no file in the end, and returns the reason."""
        with pytest.raises(Unavailable) as raised:
            self.get(url)
        assert not self.files(url)
        return str(raised.value)

    def files(self, url: str) -> list[Path]:
        """Returns the whole files of the URL in the cache, at most one."""
        with cache.open_entry(self.folder, url, "get") as entry:
            return [entry.file] if entry.file.exists() else []


# A program that downloads argv[1] into the cache argv[2] and prints the SHA-256.
CLIENT = """
import sys
from pathlib import Path
from pipeline.download.obtain import Access, obtain_file
with obtain_file(sys.argv[1], Access(Path(sys.argv[2])), "get") as file:
    print(file.sha256)
"""
