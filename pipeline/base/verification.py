"""Whether a member's weights are known to be those of the checkpoint that its YAML file names."""

from enum import StrEnum


class Verification(StrEnum):
    """How the weights were verified, as checkpoint.json, report.json and index.json have it.

    PINNED: the file has the SHA-256 that the YAML file pins.
    DOWNLOADED: the file, or one with the same arrays, was downloaded from an address that the YAML file names.
    UNVERIFIED: neither; anybody's weights could be in the file.
    """

    PINNED = "pinned"
    DOWNLOADED = "downloaded"
    UNVERIFIED = "unverified"

    @property
    def is_verified(self) -> bool:
        """Whether what others report of the checkpoint may be quoted for these weights."""
        return self is not Verification.UNVERIFIED
