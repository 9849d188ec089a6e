"""What a hub's signed index says of one module: whether it is that one, and whether anybody should use it."""

from pathlib import Path

from pipeline.base.files import content_digest
from pipeline.hub.entries import ModuleEntry
from pipeline.hub.index import parse_parts
from pipeline.hub.shards import parse_shard, shard_of_entry, shard_path
from pipeline.trust.client import TrustedIndex
from pipeline.trust.metadata import copy_path
from pipeline.trust.statement import Statement
from pipeline.verifying.findings import Findings
from pipeline.verifying.readers import Reader


def check_listed(reader: Reader, trusted: TrustedIndex, statement: Statement, findings: Findings) -> None:
    """Adds to the findings what the index says of the module that a statement is about.

    Args:
        reader: of its hub, which may have the metadata alone.
        trusted: what its owner has signed.
        statement: of the module.
        findings: get a problem where the index lists other bytes, and notes.
    """
    entry, is_known = _find_entry(reader, trusted, statement.handle)
    if not is_known:
        findings.notes.append("the signed index is not at hand, so nothing says whether the module was yanked")
    elif entry is None:
        findings.notes.append(f"the hub does not list {statement.handle}: it was not released there, or not yet")
    else:
        if entry.tarball.sha256 != statement.sha256:
            text = f"the hub lists other bytes for it: sha256 {entry.tarball.sha256}, expected {statement.sha256}"
            findings.problems.append(f"{findings.address}: {text}; do not load it")
        if entry.yanked:
            findings.notes.append(f"it was YANKED on {entry.yanked.date}, do not use it: {entry.yanked.reason}")
        if entry.deprecated:
            findings.notes.append(f"it is deprecated since {entry.deprecated.date}: use {entry.deprecated.successor}")


def _find_entry(reader: Reader, trusted: TrustedIndex, handle: str) -> tuple[ModuleEntry | None, bool]:
    """Returns the entry, None where the index has none, and whether the index is at hand as it was signed."""
    shard = shard_path(shard_of_entry(handle))
    if shard not in trusted.shards:
        return None, True
    path = copy_path(shard, trusted.shards[shard].sha256)
    content = reader.small(path)
    if content is None or content_digest(content) != trusted.shards[shard].sha256:
        return None, False
    place = Path(path)
    index, faults = parse_parts([(place, parse_shard(place, content))])
    if faults:
        raise faults[0]
    return index.modules.get(handle), True
