"""The settings of a hub, hub.yaml in its folder: whoever publishes there makes the same pages and index.

    url: https://hub.example.org    # the public address, which cards and pages name
    publisher: vit-publisher        # optional: members of others are refused
    policy:                         # optional
      require_accuracy: true        # as REQUIRE_ACCURACY=1
      require_signature: true       # statements must be signed, with SIGN=

The first publish writes it, with HUB_URL= or the collection's hub_url. After that the address is the hub's.
"""

import argparse
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.base.addresses import check_public
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.base.yaml_sections import YamlFile

FILE = "hub.yaml"


@dataclass(frozen=True)
class Policy:
    """What a hub asks of members: a measured accuracy, signed statements."""

    require_accuracy: bool = False
    require_signature: bool = False


@dataclass(frozen=True)
class HubSettings:
    """What hub.yaml says.

    Attributes:
        url: the hub's public address, without a final slash.
        publisher: the id of the only publisher; None for any.
        policy: what it asks of members.
    """

    url: str
    publisher: str | None = None
    policy: Policy = Policy()


def read_settings(hub: Path) -> HubSettings | None:
    """Reads hub.yaml; None for a new hub, and for one of an older version.

    Raises:
        Fault: names file and line of what is wrong, or an address that is none or has a secret in it.
    """
    path = hub / FILE
    if not path.exists():
        return None
    settings = YamlFile(path).whole(HubSettings)
    if not settings.url.startswith(("http://", "https://")) or settings.url.endswith("/"):
        raise Fault(f"{path}: url {settings.url!r}: expected http(s)://<host>/<path> without a slash at its end")
    check_public(settings.url, f"{path}: url")
    return settings


def parse_settings(content: bytes, place: str) -> HubSettings:
    """Reads the content of a hub.yaml that lies elsewhere; raises Fault as read_settings() does, for its `place`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        path.write_bytes(content)
        try:
            settings = read_settings(path.parent)
        except Fault as fault:
            raise Fault(str(fault).replace(str(path), place)) from None
    assert settings
    return settings


def public_url(hub: Path, given: str | None, move: bool) -> str | None:
    """Returns the address for the pages of a hub: its own, or else the given one.

    Args:
        hub: its folder.
        given: HUB_URL, or None.
        move: MOVE=1: the given address replaces the hub's.

    Returns:
        None where neither is known: the collection's address counts.

    Raises:
        Fault: when the given address is not the hub's, and the hub is not to move.
    """
    settings, address = read_settings(hub), given.rstrip("/") if given else None
    if settings and address and address != settings.url and not move:
        raise Fault(
            f"HUB_URL={given}: the hub {hub} is at {settings.url}, as its hub.yaml says, and its cards name that"
            " address; leave HUB_URL= out, or move the hub with MOVE=1 and publish every member again"
        )
    if move and not address:
        raise Fault("MOVE=1: expected the new address of the hub, HUB_URL=")
    return address or (settings.url if settings else None)


def add_address(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the hub's address to a command."""
    parser.add_argument("--hub-url", help="the public address (default: that of hub.yaml, or the collection's)")
    parser.add_argument("--move", action="store_true", help="let --hub-url replace the address in hub.yaml")


def settle(hub: Path, url: str, publisher: str) -> HubSettings:
    """Returns the settings with which to publish: those of the hub, with this address; nothing is written.

    Raises:
        Fault: when the hub is another publisher's.
    """
    settings = read_settings(hub) or HubSettings(url)
    if settings.publisher not in (None, publisher):
        raise Fault(
            f"{hub / FILE}: this hub is for the publisher {settings.publisher}, not {publisher}; publish to another"
            " hub (HUB=), or remove the line"
        )
    return replace(settings, url=url)


def write_settings(hub: Path, settings: HubSettings) -> None:
    """Writes hub.yaml for a new hub, or the new address of one that has moved; the other lines stay."""
    before, path = read_settings(hub), hub / FILE
    if before == settings:
        return
    line = f"url: {json.dumps(settings.url)}"
    if before is None:
        write_text(path, f"# The settings of this hub; docs/hub.md explains them.\n{line}\n")
        return
    place = YamlFile(path).line_of(["url"]) - 1
    lines = path.read_text(encoding="utf-8").splitlines()
    write_text(path, "\n".join([*lines[:place], line, *lines[place + 1 :]]) + "\n")
    print(f"{hub}: moved from {before.url} to {settings.url}; its other cards name the old address until you publish")
    print("every member again (make publish-all, for each collection)")
