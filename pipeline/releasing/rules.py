"""What a target may be given: released versions, for the public address that it was made for."""

from urllib.parse import urlsplit

from pipeline.base.fault import Fault
from pipeline.hub.release_rules import is_local


def is_public(target: str, url: str | None) -> bool:
    """Whether others than this machine load from a target: it is an object store, or the hub's address says so."""
    return urlsplit(target).scheme not in ("", "file") or (url is not None and not is_local(url))


def check_urls(target: str, here: str | None, there: str | None) -> None:
    """Refuses a target that was made for another public address than the hub: its cards would name both.

    Args:
        target: its address.
        here: the public address of the hub, None where it has none.
        there: the public address that the target's index says.

    Raises:
        Fault: names both.
    """
    if there is not None and here != there:
        raise Fault(
            f"{target}: it is the hub of {there}, and this hub is for {here or 'no address'}; release to the target of"
            " this hub, or publish it again with the address of that one (HUB_URL=)"
        )
