"""What computes predictions: the libraries, the kind of machine and the code. Shards of anything else do not count."""

import functools
import hashlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.base.stage_code import ROOT, StageCode

_PACKAGES = ("tensorflow", "numpy", "pillow")
_MODULES = ("accuracy.classifying", "saved_model.load")  # with all that they import: decoding, preparing, classifying


@functools.cache  # half a second of parsing
def describe_environment() -> str:
    """Returns the versions, the machine's architecture and the digest of the code, as one line."""
    packages = [f"{package} {_version(package)}" for package in _PACKAGES]
    return ", ".join([*packages, platform.machine(), f"code {digest_code(ROOT)}"])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def digest_code(root: Path) -> str:
    """Returns the digest of the code that prepares and classifies images; comments and docstrings do not count.

    Args:
        root: the folder that holds `pipeline`.
    """
    code = StageCode(root / "no memory", root)
    digests = {name: digest for module in _MODULES for name, digest in code.modules(module).items()}
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
