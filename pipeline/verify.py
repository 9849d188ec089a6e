"""verify: checks a hub or a module from outside, without running anything of it.

    python -m pipeline.verify HUB [--root root.json] [--json]
    python -m pipeline.verify MODULE [--statement FILE] [--hub HUB] [--root root.json] [--json]

HUB is a folder, an http(s) address or one that make release writes to; MODULE a tarball, its http(s) address, or the
folder of an unpacked module. A hub's files must have the sizes and digests of its index, its claims and statements must
agree with it, and its start page must link to pages that are there. A module must be the one that the statement beside
it is about. With the root.json that its owner gave you, the signatures must lead to it, and it says who signed what and
when; without it no signature is checked. Exit status 1 with a sentence for each problem.
"""

import argparse
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from pipeline.base.addresses import public_address
from pipeline.base.command import command
from pipeline.base.fault import Fault, escape_controls
from pipeline.base.files import Unreadable, expand_home, read_bounded
from pipeline.base.program import program
from pipeline.download import cache
from pipeline.trust.keys import require_libraries
from pipeline.verifying.findings import Findings
from pipeline.verifying.hub import verify_hub
from pipeline.verifying.module import SUFFIX, Module, verify_module
from pipeline.verifying.readers import open_reader

_LARGEST_ROOT = 512_000  # bytes; what clients accept
_SCHEMES = ("http://", "https://")


def is_module(place: str) -> bool:
    """Whether a place is one module and no hub: a tarball, or a folder with a SavedModel."""
    if place.endswith(SUFFIX):
        return True
    return "://" not in place and os.path.lexists(expand_home(place) / "saved_model.pb")


def read_root(path: Path) -> bytes:
    """Returns the pinned root.json; raises Fault without one."""
    try:
        return read_bounded(path, _LARGEST_ROOT)
    except FileNotFoundError:
        raise Fault(f"ROOT={path}: no such file, expected the root.json that the hub's owner gave you") from None
    except Unreadable as reason:
        raise Fault(f"ROOT={path}: {reason}; expected the root.json that the hub's owner gave you") from None


def state_folder(folder: Path, root: bytes, hub: str) -> Path:
    """Returns where to keep what was seen of a hub with a root, so that an older state of it is noticed."""
    is_place = "://" in hub
    name = hub.rstrip("/") if is_place else str(expand_home(hub).resolve())
    return folder / "trust" / hashlib.sha256(root + name.encode()).hexdigest()[:24]


def verify(place: str, root: bytes | None, folder: Path, statement: str | None, hub: str | None) -> Findings:
    """Checks a hub or a module; see verify_hub() and verify_module(). `folder` is the cache."""
    if not is_module(place):
        state = state_folder(folder, root or b"", place)
        return verify_hub(open_reader(place, folder), root, state)
    module = Module(place, folder, statement, hub)
    return verify_module(module, root, state_folder(folder, root or b"", module.own_hub or place))


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(
        prog=program("verify"), description="Checks a hub or a module from outside, without running anything of it."
    )
    parser.add_argument("place", help="a hub's folder or address, a module's tarball or its address, or its folder")
    parser.add_argument("--root", type=expand_home, help="the root.json that the hub's owner gave you")
    parser.add_argument("--statement", help="the statement of a module that has none beside it: a file or an address")
    parser.add_argument("--hub", help="the hub of a module that does not lie in one")
    parser.add_argument("--json", action="store_true", help="print what was checked as a JSON object")
    parser.add_argument("--cache", help="the folder of downloads (default: $XDG_CACHE_HOME/vit-publisher)")
    args = parser.parse_args(arguments)
    root = read_root(args.root) if args.root else None
    if root is not None:
        require_libraries()
    try:
        findings = verify(args.place, root, cache.folder(args.cache), args.statement, args.hub)
    except Fault as fault:
        findings = Findings(public_address(args.place), problems=[str(fault)])
    if args.json:
        print(json.dumps(findings.to_json(), indent=2))
    else:
        print(*map(escape_controls, findings.lines()), sep="\n")
    if findings.problems:
        raise Fault("\n".join([findings.summary(), *findings.problems]))
    return findings.summary()


if __name__ == "__main__":
    raise SystemExit(command("verify", main))
