"""What a hub's own settings, hub.yaml, ask of a release; the target's count as well as those of the hub."""

from collections.abc import Iterator
from dataclasses import replace

from pipeline.base.fault import Fault
from pipeline.base.files import Unreadable, content_digest, read_bounded
from pipeline.hub.entries import ModuleEntry
from pipeline.hub.settings import FILE, HubSettings, Policy, parse_settings
from pipeline.releasing.local_hub import LocalHub
from pipeline.releasing.plan import Change, PlannedFile
from pipeline.releasing.rules import check_urls
from pipeline.targets.interface import LARGEST_SMALL, Target
from pipeline.trust.envelope import LARGEST, parse_envelope


def join_settings(hub: LocalHub, target: Target) -> HubSettings | None:
    """Returns what the settings of a hub and those of its target ask together; None where there are none.

    Raises:
        Fault: when they name other addresses or publishers, or the target's are damaged.
    """
    ours, theirs = hub.settings, _read(target)
    if theirs is None or ours is None:
        return ours or theirs
    place = f"{target.address}/{FILE}"
    check_urls(place, ours.url, theirs.url)
    if ours.publisher and theirs.publisher and ours.publisher != theirs.publisher:
        raise Fault(f"{place}: the hub of {theirs.publisher}, and yours is that of {ours.publisher}; release elsewhere")
    policy = Policy(
        ours.policy.require_accuracy or theirs.policy.require_accuracy,
        ours.policy.require_signature or theirs.policy.require_signature,
    )
    return replace(ours, publisher=ours.publisher or theirs.publisher, policy=policy)


def _read(target: Target) -> HubSettings | None:
    answer = target.get(FILE)
    return parse_settings(answer[0], f"{target.address}/{FILE}") if answer else None


def plan_settings(hub: LocalHub, target: Target, joined: HubSettings | None) -> Iterator[PlannedFile]:
    """Yields hub.yaml, unless the target has one that asks for more than the hub's, which then stays."""
    if hub.settings is None:
        return
    content, answer = read_bounded(hub.folder / FILE, LARGEST_SMALL), target.get(FILE)
    change = Change.NEW if answer is None else Change.UNCHANGED if answer[0] == content else Change.CHANGED
    if change is not Change.CHANGED or joined == hub.settings:
        yield PlannedFile(FILE, len(content), content_digest(content), change, answer[1].tag if answer else None)


def reasons_of_policy(settings: HubSettings | None, hub: LocalHub, entry: ModuleEntry) -> Iterator[str]:
    """Yields why the settings forbid the release of a module."""
    if settings is None:
        return
    if settings.publisher not in (None, entry.publisher):
        yield f"{FILE} admits the publisher {settings.publisher} alone"
    if settings.policy.require_accuracy and entry.measured is None:
        yield f"{FILE} requires a measured accuracy; measure it (IMAGENET) and publish the member again"
    if settings.policy.require_signature and not _is_signed(hub, entry):
        yield f"{FILE} requires signed statements; publish the member again with SIGN=<key of release>"


def _is_signed(hub: LocalHub, entry: ModuleEntry) -> bool:
    """Whether somebody has signed a module's statement; who, is for verify to say."""
    if entry.statement is None:
        return False
    path = hub.folder / entry.statement.path
    try:
        return bool(parse_envelope(read_bounded(path, LARGEST)).signatures)
    except Unreadable as reason:
        raise Fault(f"{path}: {reason}; publish the member again") from None
