"""withdraw: what a hub says of a published version, whose files stay: yanked, deprecated, or an alias for it.

    python -m pipeline.withdraw yank HUB HANDLE --reason TEXT
    python -m pipeline.withdraw deprecate HUB HANDLE --successor HANDLE
    python -m pipeline.withdraw alias HUB HANDLE --name NAME
    python -m pipeline.withdraw unyank|undeprecate HUB HANDLE

The index, the card, the publisher's page and the website say so then; "latest" and the start page pass over a yanked
version. The tarball and the exact handle work as before.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.base.command import command
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.base.text import read_generated
from pipeline.cards import tf_hub_rules
from pipeline.hub import website, withdrawing
from pipeline.hub.entries import ModuleEntry, PublishedFile
from pipeline.hub.folder import hub_folder, locked, look_up_published, read_index, write_index
from pipeline.hub.index import Index
from pipeline.hub.notices import add_notices, remove_notices
from pipeline.hub.publisher_page import LARGEST, relist
from pipeline.hub.stored import remove_replaced, store_page, write_copies
from pipeline.hub.withdrawing import Change, check_alias, find_dependents, find_entry

_AGAIN = "publish its member again first"


def change_version(hub: Path, handle: str, change: Change) -> ModuleEntry:
    """Changes what the hub says of a version: its entry, its card, and the pages that list it.

    Args:
        hub: its folder.
        handle: of the version.
        change: returns the changed entry.

    Returns:
        The entry, which is the old one where nothing changed.

    Raises:
        Fault: as find_entry() and the change do, and when the version's card is not the one that the index lists.
    """
    look_up_published(hub)  # else locked() would make a new hub
    with locked(hub):
        index = read_index(hub)
        entry = find_entry(index, handle)
        changed = change(index, entry)
        if changed == entry:
            return entry
        page = _publisher_page(hub, index.with_modules({handle: changed}), entry.publisher)
        changed = replace(changed, files=_with_card(hub, entry, changed), revision=entry.revision + 1)
        _write(hub, index.with_modules({handle: changed}), changed, page)
    return changed


def give_alias(hub: Path, handle: str, alias: str) -> None:
    """Makes an alias of a module stand for one of its versions.

    Raises:
        Fault: for an unknown or yanked version, and a name that no alias can have.
    """
    look_up_published(hub)
    with locked(hub):
        index = read_index(hub)
        entry = find_entry(index, handle)
        check_alias(alias, entry)
        index = index.with_alias(f"{entry.publisher}/{entry.name}", alias, entry.version)
        write_index(hub, index)
        website.build_hub(hub)


def _with_card(hub: Path, entry: ModuleEntry, changed: ModuleEntry) -> tuple[PublishedFile, ...]:
    """Stores the card of the changed entry; returns all files of the module, this one in the old one's place."""
    if entry.card is None:
        raise Fault(f"{hub}: the index lists no card of {entry.handle}; {_AGAIN}")
    path = hub / entry.card.path
    if not path.is_file():
        raise Fault(f"{path}: missing, but the index lists it; {_AGAIN}")
    plain = remove_notices(read_generated(path, _AGAIN), entry, str(path))
    card = add_notices(plain, changed)
    tf_hub_rules.check(card, f"{entry.handle}.md")
    stored = store_page(hub, f"{entry.handle}.md", card)
    return tuple(stored if file == entry.card else file for file in entry.files)


def _publisher_page(hub: Path, index: Index, publisher: str) -> str:
    """Returns the publisher's page with the modules as the index has them now."""
    path = hub / publisher / f"{publisher}.md"
    if not path.is_file():
        raise Fault(f"{path}: missing; publish a member of {publisher} first, which writes it")
    entries = (entry for entry in index.modules.values() if entry.publisher == publisher)
    return relist(read_generated(path, _AGAIN, LARGEST), list(entries), str(path))


def _write(hub: Path, index: Index, changed: ModuleEntry, page: str) -> None:
    """Writes the index, from when on the change counts, and the pages that people see."""
    write_index(hub, index)
    write_copies(hub, [changed])
    write_text(hub / changed.publisher / f"{changed.publisher}.md", page)
    website.build_hub(hub)
    remove_replaced(hub, [changed])


# The command ----------------------------------------------------------------------------------------------------------
def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pipeline.withdraw", description="Withdraws a published version.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in (
        ("yank", "say that nobody should use a version"),
        ("unyank", "take that back"),
        ("deprecate", "name the version that replaces one"),
        ("undeprecate", "take that back"),
        ("alias", "give a version a name, such as stable"),
    ):
        sub = verbs.add_parser(verb, help=text)
        sub.add_argument("hub", help="the hub: a folder")
        sub.add_argument("handle", help="<publisher>/<module>/<version>")
        if verb == "yank":
            sub.add_argument("--reason", required=True, help="why, one line; it is shown with a date")
        if verb == "deprecate":
            sub.add_argument("--successor", required=True, help="the handle of the version that replaces it")
        if verb == "alias":
            sub.add_argument("--name", required=True, help="lower-case letters, digits and '-'")
    return parser.parse_args(arguments)


def _change(args: argparse.Namespace) -> Change:
    today = datetime.now(UTC).date().isoformat()
    match args.verb:
        case "yank":
            return withdrawing.yank(args.reason, today)
        case "deprecate":
            return withdrawing.deprecate(args.successor, today)
        case "unyank":
            return withdrawing.unyank
    return withdrawing.undeprecate


def main(arguments: Sequence[str]) -> str:
    args = _parse(arguments)
    hub = hub_folder(args.hub)
    if args.verb == "alias":
        give_alias(hub, args.handle, args.name)
        return f"{args.name} of {args.handle.rpartition('/')[0]} is version {args.handle.rpartition('/')[2]} in {hub}"
    entry = change_version(hub, args.handle, _change(args))
    for text in find_dependents(read_index(hub), entry) if args.verb == "yank" else ():
        print(f"{text}: name another version with make deprecate or make alias")
    print("a signed hub says so after make sign, one that was released elsewhere after the next make release")
    return f"{args.verb} {entry.handle} in {hub}, revision {entry.revision} of its card"


if __name__ == "__main__":
    raise SystemExit(command("withdraw", main))
