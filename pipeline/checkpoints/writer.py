"""Writes a member's checkpoint from the file of one of its sources, and refuses weights other than the pinned ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.base.addresses import public_address
from pipeline.base.fault import Unavailable, UnusableFile
from pipeline.base.files import sha256_of
from pipeline.base.verification import Verification
from pipeline.checkpoints.digest import arrays_digest, open_npz, write_npz
from pipeline.checkpoints.file_kinds import NPZ, SAFETENSORS, describe_other
from pipeline.checkpoints.identify import digests_of, find_owner
from pipeline.checkpoints.lock_file import LockFile, WrongDigest
from pipeline.checkpoints.provenance import TIMM, Origin
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
    """

    checkpoint: Checkpoint
    lock: LockFile
    collections: Path
    label: str

    def refuse_unverifiable(self, source: Source) -> None:
        """Refuses timm's copy where only the digest of upstream's file is pinned.

        Raises:
            Unavailable: when nothing pinned can tell whether the copy has the right weights.
        """
        if source.is_timm and self.checkpoint.sha256 and self.lock.pin_of(self.checkpoint.name).arrays is None:
            raise Unavailable(
                "cannot be verified: checkpoint.sha256 is the digest of upstream's .npz file, not of timm's file, and"
                f" {self.lock.path} has no digest of the arrays; fetch the .npz file from its address once, or remove"
                " checkpoint.sha256"
            )

    def expected_sha256(self, source: Source) -> str | None:
        """Returns the pinned SHA-256 of the source's file, or None."""
        pinned = self.lock.pin_of(self.checkpoint.name).files.get(source.name)
        return pinned or (None if source.is_timm else self.checkpoint.sha256)

    def write(self, source: Source, path: Path, out: BinaryIO, sha256: str | None = None) -> Origin:
        """Writes the source's file as an .npz, checks its digests, and records those of a first download.

        Args:
            source: the source.
            path: its file on this machine.
            out: an empty file with a name, which gets the .npz.
            sha256: of the source's file, if it was just computed.

        Returns:
            Where the checkpoint comes from.

        Raises:
            Unavailable: when there is no such file.
            UnusableFile: when it is a folder or another kind of file, cut short or damaged.
            WrongDigest: when its digests are not the pinned ones.
        """
        if not path.is_file() and not path.is_dir():
            raise Unavailable("no such file")
        if problem := describe_other(path, SAFETENSORS if source.is_timm else NPZ):
            raise UnusableFile(f"{public_address(source.address)}: {problem}")
        if not source.is_timm:  # before its copy: what its headers say is cheap to read
            open_npz(path, public_address(source.address)).close()
        npz = Path(out.name)
        try:
            file_sha256 = self._write_npz(source, path, out, sha256)
            out.flush()
            arrays = arrays_digest(npz, public_address(source.address))
            self._check_arrays(source, file_sha256, arrays)
        except WrongDigest as fault:
            owner = self._describe_owner(path, npz if source.is_timm else path)
            raise WrongDigest(f"{fault}{owner}") from None
        if source.is_timm:
            return Origin(source.name, sha256_of(npz), arrays, self._verify(source, arrays), TIMM, file_sha256)
        verification = self._verify(source, arrays, file_sha256)
        return Origin(self._origin_name(source, file_sha256), file_sha256, arrays, verification)

    def _write_npz(self, source: Source, path: Path, out: BinaryIO, sha256: str | None) -> str:
        """Copies or converts the source's file, and returns its SHA-256 once that is checked."""
        if source.is_timm:
            from pipeline.checkpoints import timm  # few fetches need safetensors

            sha256 = sha256 or sha256_of(path)
            self.lock.check_file(self.checkpoint.name, source.name, sha256)
            write_npz(out, timm.augreg_arrays(path))
            return sha256
        sha256 = copy(path, out, self.label)
        if self.checkpoint.sha256 not in (None, sha256):
            raise WrongDigest(
                f"{public_address(source.address)}: wrong sha256: expected {self.checkpoint.sha256}, got {sha256};"
                " nothing was kept. If the file is damaged, download it again. If it is the checkpoint that you want,"
                " correct checkpoint.sha256"
            )
        self.lock.check_file(self.checkpoint.name, source.name, sha256)
        return sha256

    def _check_arrays(self, source: Source, file_sha256: str, arrays: str) -> None:
        """Refuses other arrays than the pinned ones, and records those of a first download."""
        self.lock.check_arrays(self.checkpoint.name, public_address(source.address), arrays)
        if source.is_recorded:
            self.lock.record(self.checkpoint.name, source.name, file_sha256, arrays)

    def _verify(self, source: Source, arrays: str, sha256: str | None = None) -> Verification:
        """Returns how the weights are verified, once their digests have been checked.

        Args:
            source: that had the file.
            arrays: the digest of its arrays.
            sha256: of the file, if it is upstream's .npz.
        """
        if sha256 is not None and sha256 == self.checkpoint.sha256:
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
