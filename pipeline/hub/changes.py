"""What changed between two indexes of a hub, for release notes and the list of a module's versions.

Only what a user of the models would notice counts: not the speed, which differs on every run, nor the figures' last
digits, nor files that follow from others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.hub.entries import Measured, ModuleEntry
from pipeline.hub.index import Index
from pipeline.hub.published_formats import PublishedFormat


@dataclass(frozen=True)
class ModuleChange:
    """A module version of the later index that the earlier one lacks, or has otherwise.

    Attributes:
        entry: as the later index has it; as the earlier one has it, if it is gone.
        is_new: whether the earlier index lacks this version.
        is_gone: whether the later index lacks it, which a hub never should.
        before: what it is compared with: the same version in the earlier index, else the next older one in the later
            index; None for a module's first version.
        sentences: what differs, each a clause.
    """

    entry: ModuleEntry
    is_new: bool
    is_gone: bool
    before: ModuleEntry | None
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Changes:
    """What changed between two indexes.

    Attributes:
        modules: by handle.
        new_collections: the addresses of collections that the earlier index lacks.
        changed_collections: the addresses of collections whose page has changed.
        aliases: each a clause, such as "`latest` of ann/vit_fe is version 2, was 1".
    """

    modules: tuple[ModuleChange, ...]
    new_collections: tuple[str, ...]
    changed_collections: tuple[str, ...]
    aliases: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not (self.modules or self.new_collections or self.changed_collections or self.aliases)


def compare_indexes(before: Index, after: Index) -> Changes:
    """Returns what changed from one index to a later one, sorted by handle."""
    new = sorted(after.collections.keys() - before.collections.keys())
    changed = sorted(
        address
        for address in after.collections.keys() & before.collections.keys()
        if after.collections[address].files != before.collections[address].files
    )
    return Changes(tuple(_module_changes(before, after)), tuple(new), tuple(changed), tuple(_aliases(before, after)))


def _module_changes(before: Index, after: Index) -> Iterator[ModuleChange]:
    for handle in sorted(before.modules.keys() | after.modules.keys()):
        old, new = before.modules.get(handle), after.modules.get(handle)
        if new is None:
            assert old is not None
            yield ModuleChange(old, False, True, None, ())
        elif old is None:
            older = older_version(after, new)
            yield ModuleChange(new, True, False, older, describe_version(older, new) if older else ())
        elif sentences := (*describe_version(old, new), *describe_status(old, new)):
            yield ModuleChange(new, False, False, old, sentences)


def older_version(index: Index, entry: ModuleEntry) -> ModuleEntry | None:
    """Returns the next older version of a module; None for its first."""
    versions = index.versions[f"{entry.publisher}/{entry.name}"]
    return next((other for other in versions if other.version < entry.version), None)


def list_history(index: Index, entry: ModuleEntry) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """Returns what each version of a module changed against the next older one, the newest first; no first version."""
    versions = index.versions[f"{entry.publisher}/{entry.name}"]
    return tuple((new.version, describe_version(old, new)) for new, old in pairwise(versions))


def _architectures(old: ModuleEntry, new: ModuleEntry) -> tuple[str | None, str | None]:
    """Returns the variants of two entries, with the families if both say theirs and these differ."""
    if old.family and new.family and old.family != new.family:
        return old.title_of_model, new.title_of_model
    return old.variant, new.variant


def describe_version(old: ModuleEntry, new: ModuleEntry) -> tuple[str, ...]:
    """Returns how a version's model differs from an earlier one's, each a clause; () where nothing differs."""
    return tuple(clause for clause in _version_clauses(old, new) if clause)


def _version_clauses(old: ModuleEntry, new: ModuleEntry) -> Iterator[str]:
    yield _accuracy(old, new)
    yield _value("architecture", *_architectures(old, new))
    yield _value("input", _pixels(old), _pixels(new))
    yield _value("parameters", _number(old.parameters), _number(new.parameters))
    yield _value("unpacked size", _number(old.unpacked), _number(new.unpacked), " bytes")
    yield _value("weights", old.weights, new.weights)
    yield _value("data set", old.dataset, new.dataset)
    yield _value("oldest TensorFlow", old.tensorflow, new.tensorflow)
    yield _value("licence", old.license, new.license)
    yield from _formats(old, new)
    if old.tarball.sha256 != new.tarball.sha256:
        sizes = _value("tarball", _number(old.tarball.size), _number(new.tarball.size), " bytes")
        yield f"{sizes or 'tarball: other bytes'}, SHA-256 {new.tarball.sha256}"


def _formats(old: ModuleEntry, new: ModuleEntry) -> Iterator[str]:
    """Yields which formats a version has more, and less, than an earlier one."""
    before, after = ({published.name: published for published in entry.formats} for entry in (old, new))
    if gained := [published for name, published in after.items() if name not in before]:
        yield f"now also as {_list_formats(gained)}"
    if lost := [published for name, published in before.items() if name not in after]:
        yield f"lacks {_list_formats(lost)}"


def _list_formats(formats: Sequence[PublishedFormat]) -> str:
    """Returns formats as "LiteRT, LiteRT (int8) and ONNX"."""
    titles = [published.title.partition(", ") for published in formats]
    *others, last = [f"{kind} ({precision})" if precision else kind for kind, _, precision in titles]
    return f"{', '.join(others)} and {last}" if others else last


def describe_status(old: ModuleEntry, new: ModuleEntry) -> tuple[str, ...]:
    """Returns how the same version's status and card changed, each a clause."""
    clauses = [_value("status", old.status, new.status), _value("title", old.title, new.title)]
    if new.yanked != old.yanked:
        clauses.append(f"yanked: {new.yanked.reason}" if new.yanked else "no longer yanked")
    if new.deprecated != old.deprecated:
        successor = f"deprecated, use {new.deprecated.successor}" if new.deprecated else "no longer deprecated"
        clauses.append(successor)
    if new.revision != old.revision:
        clauses.append(f"card: revision {new.revision}, was {old.revision}")
    return tuple(filter(None, clauses))


def _accuracy(old: ModuleEntry, new: ModuleEntry) -> str:
    before, after = _percent(old), _percent(new)
    return "" if before == after else f"top-1 accuracy: {after}, was {before}"


def _percent(entry: ModuleEntry) -> str:
    accuracy = entry.accuracy
    if accuracy is None:
        return "not known"
    interval = ""
    if isinstance(accuracy, Measured):
        interval = f", 95 % interval {accuracy.interval[0]:.2%} to {accuracy.interval[1]:.2%}"
    return f"{accuracy.top1:.2%} ({accuracy.origin} {accuracy.where}{interval})"


def _pixels(entry: ModuleEntry) -> str | None:
    return f"{entry.image_size}x{entry.image_size} pixels" if entry.image_size else None


def _number(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _value(name: str, old: object, new: object, unit: str = "") -> str:
    """Returns the clause of a value that changed, "" where it did not, or an older index does not say."""
    if old == new or old is None or new is None:
        return ""
    return f"{name}: {new}{unit}, was {old}"


def _aliases(before: Index, after: Index) -> Iterator[str]:
    for name in sorted(before.aliases.keys() | after.aliases.keys()):
        old, new = before.aliases.get(name, {}), after.aliases.get(name, {})
        for alias in sorted(old.keys() | new.keys()):
            if name not in before.versions and alias == "latest":
                continue  # of a new module
            if old.get(alias) != new.get(alias):
                was = f", was {old[alias]}" if alias in old else ""
                now = f"is version {new[alias]}{was}" if alias in new else "is gone"
                yield f"`{alias}` of {name} {now}"


def describe_entry(entry: ModuleEntry) -> Iterator[str]:
    """Yields the facts of a version to announce, each a clause."""
    yield entry.task.replace("-", " ")
    if not entry.is_released:
        yield "a draft"
    if entry.accuracy:
        yield f"top-1 accuracy {_percent(entry)}"
    if entry.parameters:
        yield f"{entry.parameters:,} parameters"
    yield f"tarball of {entry.tarball.size:,} bytes with SHA-256 {entry.tarball.sha256}"
    if entry.tensorflow:
        yield f"TensorFlow {entry.tensorflow} or newer"
    if entry.formats:
        yield f"also as {_list_formats(entry.formats)}"
