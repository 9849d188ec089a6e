"""What may be released to others: no drafts, and no cards that lead to the publisher's own machine."""

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from pipeline.base.addresses import hide_secrets
from pipeline.hub.entries import ModuleEntry

_ADDRESS = re.compile(r"\bhttps?://[^\s<>()\"'`\\]+", re.IGNORECASE)


def reasons_against_release(entry: ModuleEntry, card: str | None = None) -> tuple[str, ...]:
    """Returns why a version may not be released, each a clause that says what to do; none for one that may.

    Args:
        entry: its entry in the index.
        card: the text of its card, for a release that others read; None leaves its addresses unread.
    """
    return (*_draft_reasons(entry), *(_local_addresses(card) if card is not None else ()))


def _draft_reasons(entry: ModuleEntry) -> Iterator[str]:
    """Yields what makes a version a draft; its status alone is not trusted, nor are its facts."""
    for missing in entry.missing:
        yield f"a draft: {missing.reason}; its publisher has to {missing.remedy}, and to publish it again"
    if not entry.is_released and not entry.missing:
        yield "index.json calls it a draft, though nothing is missing; publish it again"


def _local_addresses(card: str) -> Iterator[str]:
    """Yields that a card names addresses of the machine that it was written on, the first for all of them."""
    local = [address for address in _ADDRESS.findall(card) if is_local(address)]
    if local:
        more = f" and {len(local) - 1} more" if local[1:] else ""
        text = f"its card names {hide_secrets(local[0])}{more}, which leads every reader to their own machine"
        yield f"{text}; publish it again with the hub's public address (HUB_URL=https://<host> MOVE=1)"


def is_local(address: str) -> bool:
    """Returns whether an http address leads to the machine of whoever opens it: localhost, 127.0.0.1, ::1, 0.0.0.0."""
    try:
        host = (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:  # a port or brackets that are none
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return False
    return ip.is_loopback or ip.is_unspecified
