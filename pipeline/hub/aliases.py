"""The aliases of a module's versions, which stand in the index alone: "latest", and those that a person gives."""

import re
from collections.abc import Mapping, Sequence

from pipeline.base.fault import show_name
from pipeline.hub.entries import ModuleEntry
from pipeline.hub.values import Entry, required

LATEST = "latest"  # follows from the versions, and is not given
ALIAS = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
Aliases = Mapping[str, Mapping[str, int]]  # the version of each alias, by <publisher>/<name>


def latest_of(versions: Sequence[ModuleEntry]) -> int | None:
    """Returns the newest of a module's versions that is released and not yanked; None where there is none."""
    return max((entry.version for entry in versions if entry.is_released and not entry.yanked), default=None)


def read_aliases(entry: Entry) -> dict[str, int]:
    """Reads the aliases of a module; raises TypeError or ValueError for a malformed one."""
    for alias in entry:
        if not ALIAS.fullmatch(alias):
            raise ValueError(f"'{show_name(alias)}' is no alias, expected lower-case letters, digits and '-'")
        required(entry, alias, int)
    return dict(entry)
