"""Reads the flags of the make that runs a command."""

import os
import re


def is_beside_others() -> bool:
    """Whether make may run other commands at the same time, as `make -j` does."""
    flags = os.environ.get("MAKEFLAGS", "").split()  # -j without a number has no job server
    return any(flag.startswith("--jobserver") or re.fullmatch(r"-?[a-zA-Z]*j(?!1$)\d*", flag) for flag in flags)
