"""The changes of an entry that a person may ask for: yanked, deprecated, or neither any more; and what is refused."""

from collections.abc import Callable
from dataclasses import replace

from pipeline.base.fault import Fault, nearest, show_name
from pipeline.hub.aliases import ALIAS, LATEST
from pipeline.hub.entries import ModuleEntry
from pipeline.hub.index import Index
from pipeline.hub.withdrawal import Deprecation, Yank, check_reason

Change = Callable[[Index, ModuleEntry], ModuleEntry]


def find_entry(index: Index, handle: str, setting: str = "MODULE") -> ModuleEntry:
    """Returns the entry of a handle.

    Args:
        index: of the hub.
        handle: <publisher>/<module>/<version>.
        setting: what the handle was given as, for messages.

    Raises:
        Fault: when the hub has no such version; names the nearest handle.
    """
    if entry := index.modules.get(handle):
        return entry
    if versions := index.versions.get(handle.rstrip("/")):
        known = ", ".join(str(entry.version) for entry in versions[:5])
        raise Fault(f"{setting}={show_name(handle)}: name the version, too; this module has {known}")
    close = nearest(handle, index.modules)
    raise Fault(
        f"{setting}={show_name(handle)}: the hub has no such version{close}; expected <publisher>/<module>/<version>"
    )


def yank(reason: str, date: str) -> Change:
    """Returns the change that yanks a version; a version that is yanked already gets the new reason.

    Args:
        reason: why nobody should use it, one line.
        date: today's, YYYY-MM-DD.

    Raises:
        Fault: for a reason that is empty, too long, or has line breaks.
    """
    reason = check_reason(reason)

    def change(index: Index, entry: ModuleEntry) -> ModuleEntry:
        since = entry.yanked.date if entry.yanked else date
        return replace(entry, yanked=Yank(reason, since), unyanked=None)

    return change


def unyank(index: Index, entry: ModuleEntry) -> ModuleEntry:
    """Takes a yank back; raises Fault where there is none."""
    if not entry.yanked:
        raise Fault(f"{entry.handle}: not yanked, so there is nothing to take back")
    return replace(entry, yanked=None, unyanked=entry.yanked.date)


def deprecate(successor: str, date: str) -> Change:
    """Returns the change that deprecates a version for another one, its successor's handle.

    The change raises Fault for a successor that is not in the hub, is withdrawn itself, or is the version itself.
    """

    def change(index: Index, entry: ModuleEntry) -> ModuleEntry:
        other = find_entry(index, successor, "FOR")
        if other.handle == entry.handle:
            raise Fault(f"FOR={other.handle}: a version cannot replace itself; name another one")
        if other.yanked or other.deprecated:
            what = "yanked" if other.yanked else "deprecated itself"
            raise Fault(f"FOR={other.handle}: it is {what}; name a version that people may use")
        since = entry.deprecated.date if entry.deprecated else date
        return replace(entry, deprecated=Deprecation(other.handle, since), undeprecated=None)

    return change


def undeprecate(index: Index, entry: ModuleEntry) -> ModuleEntry:
    """Takes a deprecation back; raises Fault where there is none."""
    if not entry.deprecated:
        raise Fault(f"{entry.handle}: not deprecated, so there is nothing to take back")
    return replace(entry, deprecated=None, undeprecated=entry.deprecated.date)


def check_alias(alias: str, entry: ModuleEntry) -> None:
    """Raises Fault for an alias that is malformed or follows from the versions, and for a version that is withdrawn."""
    if not ALIAS.fullmatch(alias):
        raise Fault(f"ALIAS={show_name(alias)}: expected lower-case letters, digits and '-', such as stable")
    if alias == LATEST:
        raise Fault(f"ALIAS={LATEST}: it is the newest released version that is not yanked, and cannot be set")
    if entry.yanked:
        raise Fault(f"MODULE={entry.handle}: it is yanked ({entry.yanked.reason}); name a version that people may use")


def find_dependents(index: Index, entry: ModuleEntry) -> list[str]:
    """Returns, in words, what still leads people to a version: deprecations and aliases."""
    handles = [
        f"{other.handle} is deprecated for it"
        for other in index.modules.values()
        if other.deprecated and other.deprecated.successor == entry.handle
    ]
    aliases = index.chosen.get(f"{entry.publisher}/{entry.name}", {})
    names = [f"the alias {alias} stands for it" for alias, version in aliases.items() if version == entry.version]
    return handles + names
