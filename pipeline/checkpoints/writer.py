"""Writes a member's checkpoint from the file of one of its sources, and refuses weights other than the pinned ones."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pipeline.base.addresses import public_address
from pipeline.base.fault import Unavailable
from pipeline.base.files import folder_digest, sha256_of
from pipeline.base.verification import Verification
from pipeline.checkpoints.arrays_of import is_upstreams, plan_arrays
from pipeline.checkpoints.containers.opening import open_weights
from pipeline.checkpoints.digest import arrays_digest, write_npz
from pipeline.checkpoints.identify import digests_of, find_owner
from pipeline.checkpoints.lock_file import LockFile, WrongDigest
from pipeline.checkpoints.provenance import Origin
from pipeline.checkpoints.section import Checkpoint, Source
from pipeline.download.checksums import copy


@dataclass(frozen=True)
class CheckpointWriter:
    """Writes one member's checkpoint, from any of its sources.

    Attributes:
        checkpoint: the member's section.
        lock: the lock file; first downloads are recorded in it.
        collections: the folder of all collections. A refused file may be the checkpoint of one of their members.
        label: for progress.
        is_own: whether the architecture is a file of the member's own, whose arrays keep their names.
    """

    checkpoint: Checkpoint
    lock: LockFile
    collections: Path
    label: str
    is_own: bool = False

    def refuse_unverifiable(self, source: Source) -> None:
        """Refuses a copy where only the digest of upstream's file is pinned.

        Raises:
            Unavailable: when nothing pinned can tell whether the copy has the right weights.
        """
        is_other = self.checkpoint.sha256 is not None and self.checkpoint.pin_of(source) is None
        if is_other and self.lock.pin_of(self.checkpoint.name).arrays is None:
            raise Unavailable(
                "cannot be verified: checkpoint.sha256 is the digest of upstream's .npz file, not of this copy, and"
                f" {self.lock.path} has no digest of the arrays; fetch the .npz file from its address once, or remove"
                " checkpoint.sha256"
            )

    def expected_sha256(self, source: Source) -> str | None:
        """Returns the pinned SHA-256 of the source's file, or None."""
        pinned = self.lock.pin_of(self.checkpoint.name).files.get(source.name)
        return pinned or self.checkpoint.pin_of(source)

    def write(self, source: Source, path: Path, out: BinaryIO, sha256: str | None = None) -> Origin:
        """Writes the source's file as an .npz, checks its digests, and records those of a first download.

        An .npz with our names and float32 arrays is copied byte for byte; others are converted.

        Args:
            source: the source.
            path: its file or folder on this machine.
            out: an empty file with a name, which gets the .npz.
            sha256: of the source's file, if it was just computed.

        Returns:
            Where the checkpoint comes from.

        Raises:
            Unavailable: when there is no such file.
            UnusableFile: when it is another kind of file, cut short, damaged, or of a layout that is not read.
            WrongDigest: when its digests are not the pinned ones.
        """
        if not path.is_file() and not path.is_dir():
            raise Unavailable("no such file")
        where, npz = public_address(source.address), Path(out.name)
        try:
            with open_weights(path, where) as file:  # before its copy: what its heads say is cheap to read
                plan = plan_arrays(file, self.checkpoint.prefix, self.is_own)
                is_copied = is_upstreams(file, plan)
                if not is_copied:
                    sha256 = self._convert(source, path, out, sha256, lambda: plan.read(file))
            if is_copied:
                sha256 = copy(path, out, self.label)
                self._check_file(source, sha256)
            out.flush()
            arrays = arrays_digest(npz, where)
            self._check_arrays(source, str(sha256), arrays)
        except WrongDigest as fault:
            owner = self._describe_owner(path, npz)
            raise WrongDigest(f"{fault}{owner}") from None
        name = self._origin_name(source, str(sha256))
        verification = self._verify(source, arrays, str(sha256))
        if is_copied:
            return Origin(name, str(sha256), arrays, verification)
        kind = plan.describe(file.kind)
        return Origin(name, sha256_of(npz), arrays, verification, kind, sha256, self.checkpoint.prefix)

    def _convert(
        self, source: Source, path: Path, out: BinaryIO, sha256: str | None, read: Callable[[], dict[str, np.ndarray]]
    ) -> str:
        """Writes the arrays that `read` returns, once the file has the right digest; returns this digest."""
        sha256 = sha256 or (sha256_of(path) if path.is_file() else folder_digest(path))
        self._check_file(source, sha256)
        write_npz(out, read())
        return sha256

    def _check_file(self, source: Source, sha256: str) -> None:
        """Refuses a source's file with another digest than the section and the lock file have."""
        expected = self.checkpoint.pin_of(source)
        if expected not in (None, sha256):
            raise WrongDigest(
                f"{public_address(source.address)}: wrong sha256: expected {expected}, got {sha256};"
                " nothing was kept. If the file is damaged, download it again. If it is the checkpoint that you want,"
                " correct checkpoint.sha256"
            )
        self.lock.check_file(self.checkpoint.name, source.name, sha256)

    def _check_arrays(self, source: Source, file_sha256: str, arrays: str) -> None:
        """Refuses other arrays than the pinned ones, and records those of a first download."""
        self.lock.check_arrays(self.checkpoint.name, public_address(source.address), arrays)
        if source.is_recorded:
            self.lock.record(self.checkpoint.name, source.name, file_sha256, arrays)

    def _verify(self, source: Source, arrays: str, sha256: str) -> Verification:
        """Returns how the weights are verified, once their digests have been checked.

        Args:
            source: that had the file.
            arrays: the digest of its arrays.
            sha256: of the file.
        """
        if sha256 == self.checkpoint.pin_of(source):
            return Verification.PINNED
        if source.is_recorded or self.lock.pin_of(self.checkpoint.name).arrays == arrays:
            return Verification.DOWNLOADED
        return Verification.UNVERIFIED

    def _describe_owner(self, file: Path, npz: Path) -> str:
        """Returns the end of a message: whose checkpoint a refused file is, or "" if that is not known."""
        owner = find_owner(digests_of(file, npz), self.collections, self.lock.path, but=self.checkpoint.name)
        return f". The file is the checkpoint of {owner}" if owner else ""

    def _origin_name(self, source: Source, sha256: str) -> str:
        """Returns the name of the source for records.

        A file of the user that equals another source's recorded file is that source's file, no matter who copied it.
        """
        if source.is_recorded:
            return source.name
        files = self.lock.pin_of(self.checkpoint.name).files
        names = (public_address(address) for address in self.checkpoint.addresses)
        return next((name for name in names if files.get(name) == sha256), source.name)
