"""notes: release notes in Markdown, from what really changed between two states of a hub.

    python -m pipeline.notes FROM TO

FROM and TO are hubs (folders), or copies of their index.json. Prints new and changed modules with their accuracy, size,
compatibility and digests, formats, what was yanked, deprecated or revised, and aliases; nothing that differs on every
run.
"""

import argparse
from collections.abc import Iterator, Sequence

from pipeline.base.command import command_line, guarded
from pipeline.base.fault import Fault
from pipeline.base.files import expand_home
from pipeline.base.json_files import load_content
from pipeline.base.program import program
from pipeline.hub import shards
from pipeline.hub.changes import Changes, ModuleChange, compare_indexes, describe_entry
from pipeline.hub.folder import inspect_index
from pipeline.hub.index import Index, parse_index


def read_state(setting: str, name: str) -> Index:
    """Reads the index of a hub's folder, or a file that is a copy of one.

    Args:
        setting: FROM or TO, for messages.
        name: its value.

    Raises:
        Fault: when there is no such hub or file, or it is damaged.
    """
    if "://" in name:
        raise Fault(f"{setting}={name}: expected a hub's folder or an index.json; download that first")
    path = expand_home(name)
    if path.is_dir():
        index, faults = inspect_index(path)
        if faults:
            raise faults[0]
        return index
    try:
        return parse_index(path, shards.parse_document(path, load_content(path, shards.REPAIR)))
    except FileNotFoundError:
        raise Fault(f"{setting}={path}: no such file or folder; expected a hub's folder or an index.json") from None


def render_notes(changes: Changes) -> str:
    """Returns release notes in Markdown."""
    new = [change for change in changes.modules if change.is_new and change.before is None]
    versions = [change for change in changes.modules if change.is_new and change.before is not None]
    changed = [change for change in changes.modules if not change.is_new and not change.is_gone]
    gone = [change for change in changes.modules if change.is_gone]
    collections = [f"- new: {address}" for address in changes.new_collections]
    collections += [f"- changed: {address}" for address in changes.changed_collections]
    sections = [
        ("New modules", [line for change in new for line in _new_lines(change)]),
        ("New versions", [line for change in versions for line in _new_lines(change)]),
        ("Changed", [line for change in changed for line in _lines(change.entry.handle, change.sentences)]),
        ("Removed, which breaks whoever uses them", [f"- `{change.entry.handle}`" for change in gone]),
        ("Collections", collections),
        ("Aliases", [f"- {clause}" for clause in changes.aliases]),
    ]
    text = "\n".join(f"## {heading}\n\n{_joined(lines)}" for heading, lines in sections if lines)
    return text or "Nothing has changed.\n"


def _joined(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _new_lines(change: ModuleChange) -> Iterator[str]:
    clauses = change.sentences if change.before else ()
    since = f"; against version {change.before.version}:" if change.before and clauses else ""
    yield f"- `{change.entry.handle}`: {change.entry.title}, {', '.join(describe_entry(change.entry))}{since}"
    yield from (f"  - {clause}" for clause in clauses)


def _lines(handle: str, clauses: Sequence[str]) -> Iterator[str]:
    yield f"- `{handle}`"
    yield from (f"  - {clause}" for clause in clauses)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog=program("notes"), description="Prints release notes of a hub.")
    parser.add_argument("before", metavar="FROM", help="the earlier state: a hub's folder, or an index.json")
    parser.add_argument("after", metavar="TO", help="the later state, likewise")
    args = parser.parse_args(arguments)
    changes = compare_indexes(read_state("FROM", args.before), read_state("TO", args.after))
    print(render_notes(changes), end="")


if __name__ == "__main__":
    raise SystemExit(guarded("notes", lambda: main(command_line())))
