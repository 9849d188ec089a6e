"""Finds architectures by name: each is a folder of pipeline/model.

Without JAX, so that commands that only name them start at once.
"""

import functools
import importlib
import re
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault, nearest

# What find_part() imports by name, for pipeline.base.stage_code.
IMPORTS_BY_NAME = ("model/*/architecture.py",)
OWN = "own"  # the folder for `<file>.py:<class>`; no YAML file can name it


@functools.cache
def list_architectures() -> tuple[str, ...]:
    """Returns the names of all architectures, sorted."""
    names = {path.parent.name for path in Path(__file__).parent.glob("*/architecture.py")}
    return tuple(sorted(names - {OWN}))


def find_part(name: str, part: str) -> Any:
    """Imports a module of an architecture's folder, such as `network`; for a file of one's own, of pipeline.model.own.

    Raises:
        Fault: for an unknown architecture; the message begins with "architecture".
    """
    names = list_architectures()
    if is_own(name):
        name = OWN
    elif name not in names:
        raise Fault(
            f"architecture {name!r} is unknown{nearest(name, names)}: expected {', '.join(names)}, or <file>.py:<class>"
            " for a file beside the YAML file"
        )
    return importlib.import_module(f"pipeline.model.{name}.{part}")


def is_own(name: str) -> bool:
    """Whether an architecture is a file beside the member's YAML file, `<file>.py:<class>`."""
    return bool(re.fullmatch(r"[A-Za-z0-9_-]+\.py:[A-Za-z_][A-Za-z0-9_]*", name))
