"""Mirrors a hub on Hugging Face: a repository per module, a tag per version.

A repository has the files of the SavedModel, those of the other formats where other programs look for them, the card
as README.md, and the provenance statement. A version is one commit, which its tag names last. Tags never move; a
corrected card and further formats go to the main branch alone.
"""

import re
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pipeline.base.clock import timestamp
from pipeline.base.fault import Fault, list_names
from pipeline.cards.hugging_face import for_repository
from pipeline.cards.other_hosts import HUGGING_FACE
from pipeline.hub.entries import ModuleEntry
from pipeline.hub.published_formats import is_format_file
from pipeline.mirrors.content import (
    STATEMENT,
    MirrorFile,
    describe_bytes,
    find_refusal,
    read_format_files,
    read_model_files,
    read_page,
    read_statement,
    unpacked,
)
from pipeline.mirrors.hugging_face_client import Connection, Moved, RemoteFile, Repository
from pipeline.mirrors.plan import PlannedVersion, Step
from pipeline.mirrors.records import Mirrored, MirrorRecord
from pipeline.releasing.local_hub import LocalHub
from pipeline.releasing.plan import Change, PlannedFile

README = "README.md"
_PAGES = (README, STATEMENT)  # may be corrected; the files of the model and of formats never change
_OWN = ".gitattributes"  # Hugging Face writes it into every repository
_TAG = re.compile("v([1-9][0-9]{0,8})")
_WHAT = {Step.PAGE: "card", Step.FORMATS: "formats of"}  # in the messages of commits, before the tarball's digest
_TAGS = {"onnx": ("onnx", "transformers.js"), "tflite": ("litert", "tflite")}  # by the ends of files' names


@dataclass(frozen=True)
class _Version:
    """A version as its repository will have it: the files of the model and its formats, the pages' content by path.

    No two of them have the same path: at the root a SavedModel has *.pb alone, as package ensures.
    """

    entry: ModuleEntry
    model: tuple[MirrorFile, ...]
    formats: tuple[MirrorFile, ...]
    pages: dict[str, bytes]

    @cached_property
    def files(self) -> tuple[MirrorFile, ...]:
        pages = (describe_bytes(path, content) for path, content in self.pages.items())
        return tuple(sorted((*self.model, *self.formats, *pages), key=lambda file: file.path))

    @property
    def tag(self) -> str:
        return f"v{self.entry.version}"

    def compare(self, remote: dict[str, RemoteFile]) -> tuple[PlannedFile, ...]:
        """Says of each file whether a commit has it."""
        return tuple(
            PlannedFile(file.path, file.size, file.sha256, _change(file, remote.get(file.path))) for file in self.files
        )

    def surplus(self, remote: dict[str, RemoteFile]) -> list[str]:
        """Returns the paths that a commit has, and this version has not."""
        return sorted(remote.keys() - {file.path for file in self.files} - {_OWN})

    def other_formats(self, remote: dict[str, RemoteFile]) -> list[str]:
        """Returns the files of formats for which a commit has other bytes."""
        return [file.path for file in self.formats if _change(file, remote.get(file.path)) is Change.CHANGED]

    def other_files(self, remote: dict[str, RemoteFile]) -> list[str]:
        """Returns what a commit has otherwise than this version, but for pages.

        It may lack formats that the version got later, and have some that another machine published.
        """
        model = [file.path for file in self.model if _change(file, remote.get(file.path)) is not Change.UNCHANGED]
        surplus = [path for path in self.surplus(remote) if path not in _PAGES and not is_format_file(path)]
        return model + self.other_formats(remote) + surplus

    def is_in(self, remote: dict[str, RemoteFile]) -> bool:
        """Whether a commit has this version, and nothing else but formats that another machine published."""
        same = all(file.change is Change.UNCHANGED for file in self.compare(remote))
        return same and all(map(is_format_file, self.surplus(remote)))


def _change(file: MirrorFile, remote: RemoteFile | None) -> Change:
    if remote is None:
        return Change.NEW
    is_same = remote.sha256 == file.sha256 if remote.sha256 else remote.git_oid == file.git_oid
    return Change.UNCHANGED if is_same and remote.size == file.size else Change.CHANGED


@dataclass(frozen=True)
class _Place:
    """A repository, and what is known of it.

    Attributes:
        connection: to the host.
        name: <organisation>/<module>.
        state: None where there is no such repository.
        newest: the newest version that the hub may mirror.
        formats: the paths of the files of formats that any version of the module has.
    """

    connection: Connection
    name: str
    state: Repository | None
    newest: int
    formats: frozenset[str]

    @property
    def main(self) -> str | None:
        return self.state.main if self.state else None

    @property
    def tags(self) -> dict[str, str]:
        return self.state.tags if self.state else {}

    @cached_property
    def main_files(self) -> dict[str, RemoteFile]:
        return self.connection.read_files(self.name, self.main) if self.main else {}

    @cached_property
    def tagged(self) -> int:
        """The newest version that has a tag, 0 where none has."""
        return max((int(match[1]) for tag in self.tags if (match := _TAG.fullmatch(tag))), default=0)

    @cached_property
    def tagged_files(self) -> dict[str, RemoteFile]:
        return self.connection.read_files(self.name, self.tags[f"v{self.tagged}"]) if self.tagged else {}


# The plan -------------------------------------------------------------------------------------------------------------
def plan_versions(hub: LocalHub, organisation: str, record: MirrorRecord) -> Iterator[PlannedVersion]:
    """Yields what becomes of each version of a hub.

    Args:
        hub: was checked.
        organisation: whose repositories.
        record: what the hub remembers of this mirror.

    Raises:
        Fault: when Hugging Face cannot be reached or refuses the credentials.
    """
    connection, owners = Connection(organisation), _owners(hub)
    for name, entries in sorted(hub.index.versions.items()):
        place = f"{organisation}/{name.split('/')[1]}"
        refusal = connection.check_name(place)
        if others := [publisher for publisher in owners[name.split("/")[1]] if publisher != name.split("/")[0]]:
            refusal = f"{list_names(others)} has a module of the same name, and there is one repository of a name"
        oldest_first = sorted(entries, key=lambda entry: entry.version)
        if refusal:
            yield from (_without(entry, place, None, Step.REFUSED, refusal) for entry in oldest_first)
        else:
            newest = max((entry.version for entry in entries if not entry.yanked), default=0)
            formats = (path.split("/", 3)[3] for entry in entries for path in entry.format_files)
            repository = _Place(connection, place, connection.read(place), newest, frozenset(formats))
            yield from (_plan_version(hub, repository, entry, record) for entry in oldest_first)


def _owners(hub: LocalHub) -> dict[str, list[str]]:
    owners: dict[str, list[str]] = {}
    for name in hub.index.versions:
        publisher, module = name.split("/")
        owners.setdefault(module, []).append(publisher)
    return owners


def _without(entry: ModuleEntry, place: str, state: str | None, step: Step, reason: str) -> PlannedVersion:
    tarball = entry.tarball.sha256
    return PlannedVersion(entry.handle, tarball, place, f"v{entry.version}", step, state, reason=reason)


def _plan_version(hub: LocalHub, place: _Place, entry: ModuleEntry, record: MirrorRecord) -> PlannedVersion:
    tag = f"v{entry.version}"
    if entry.yanked:
        return _without(entry, place.name, place.main, Step.PASSED, f"yanked: {entry.yanked.reason}")
    page = read_page(hub, entry, HUGGING_FACE)
    if page is None and tag in place.tags:
        reason = f"{tag} is there, and the hub has no page of it for Hugging Face"
        return _without(entry, place.name, place.main, Step.PASSED, reason)
    if refusal := find_refusal(hub, entry, {HUGGING_FACE: page}):
        return _without(entry, place.name, place.main, Step.REFUSED, refusal)
    version = _read_version(hub, place.name, entry)
    if tag in place.tags:
        return _plan_tagged(place, version, record)
    if place.tagged > entry.version:
        reason = f"v{place.tagged} is there already, and the main branch goes forwards only"
        return _without(entry, place.name, place.main, Step.PASSED, reason)
    return _plan_new(place, version)


def _read_version(hub: LocalHub, repository: str, entry: ModuleEntry) -> _Version:
    formats = read_format_files(hub, entry)
    page = _with_warning(read_page(hub, entry, HUGGING_FACE) or "", entry)
    pages = {README: for_repository(page, repository, _tags(formats)).encode()}
    if statement := read_statement(hub, entry):
        pages[STATEMENT] = statement
    return _Version(entry, read_model_files(hub, entry), formats, pages)


def _tags(formats: tuple[MirrorFile, ...]) -> list[str]:
    """Returns the tags by which people look for files of formats."""
    ends = {file.path.rpartition(".")[2] for file in formats}
    return [tag for end, tags in _TAGS.items() if end in ends for tag in tags]


def _with_warning(page: str, entry: ModuleEntry) -> str:
    """Returns a page that says below its title that the version is deprecated, where it is."""
    if not entry.deprecated:
        return page
    text = f"**Deprecated** since {entry.deprecated.date}: use {entry.deprecated.successor} instead."
    return re.sub(r"(?m)^(# .*\n)", lambda title: f"{title[1]}\n{text}\n", page, count=1)


def _plan_new(place: _Place, version: _Version) -> PlannedVersion:
    """Plans a version that has no tag yet."""
    later = place.formats if place.tagged else frozenset()  # which the main branch got after the tag
    foreign = set(version.surplus(place.main_files)) - place.tagged_files.keys() - later
    files = version.compare(place.main_files)
    step, reason = Step.UPLOAD, ""
    if foreign:
        step = Step.REFUSED
        reason = (
            f"the main branch has files that no version of this module has: {list_names(sorted(foreign))}; remove them"
            " there, or name another organisation"
        )
    elif place.main and version.is_in(place.main_files):
        step = Step.TAG
    entry = version.entry
    return PlannedVersion(
        entry.handle, entry.tarball.sha256, place.name, version.tag, step, place.main, files, reason
    )  # fmt: skip


def _plan_tagged(place: _Place, version: _Version, record: MirrorRecord) -> PlannedVersion:
    """Plans a version whose tag is there."""
    entry, commit = version.entry, place.tags[version.tag]
    remote = place.connection.read_files(place.name, commit)
    planned = PlannedVersion(
        entry.handle, entry.tarball.sha256, place.name, version.tag, Step.NOTHING, place.main, version.compare(remote)
    )
    known = record.mirrored.get(entry.handle)
    moved = f"the tag was moved from {known.commit} to {commit}" if known and known.commit != commit else ""
    if wrong := version.other_files(remote):
        names = list_names(wrong)
        text = f"{version.tag} is there with another model ({names}); raise module.version, or repair the tag there"
        return replace(planned, step=Step.REFUSED, reason=f"{moved}: {text}" if moved else text)
    if entry.version == place.newest == place.tagged:
        return _plan_main(place, version, replace(planned, reason=moved))
    if not version.is_in(remote):
        moved = "; ".join(filter(None, [moved, "the tag keeps the card and the formats that it was made with"]))
    return replace(planned, reason=moved)


def _plan_main(place: _Place, version: _Version, planned: PlannedVersion) -> PlannedVersion:
    """Plans what the main branch gets of the version that it shows, whose tag is there."""
    if other := version.other_formats(place.main_files):
        text = f"the main branch has other bytes of {list_names(other)}, and published formats never change"
        return replace(planned, step=Step.REFUSED, reason=f"{text}; raise module.version, or remove them there")
    if version.other_files(place.main_files) or version.is_in(place.main_files):
        return planned
    has_new = any(file.path not in place.main_files for file in version.formats)
    step = Step.FORMATS if has_new else Step.PAGE
    return replace(planned, step=step, files=version.compare(place.main_files))


# Carrying it out ------------------------------------------------------------------------------------------------------
def carry_out(hub: LocalHub, organisation: str, planned: PlannedVersion, parent: str | None) -> Mirrored:
    """Writes one version: a commit, then its tag.

    Args:
        hub: holds it.
        organisation: whose repositories.
        planned: what to do.
        parent: the commit that the main branch must have; None for a repository that is not there yet, or is empty.

    Raises:
        Fault: when somebody else wrote to the repository meanwhile, or Hugging Face fails.
    """
    connection, entry = Connection(organisation), hub.index.modules[planned.handle]
    version = _read_version(hub, planned.place, entry)
    state = connection.read(planned.place)
    if state is None:
        connection.create(planned.place)
        state = connection.read(planned.place)
        parent = state.main if state else None  # Hugging Face begins a repository with a commit of its own
    if state is None or state.main != parent:
        raise _moved(planned)
    commit = parent if planned.step is Step.TAG else _commit(connection, hub, planned, version, parent)
    if commit is None or not version.is_in(connection.read_files(planned.place, commit)):
        raise Fault(
            f"{planned.place}: the main branch does not hold {planned.handle} after the upload; look what is there, and"
            " run the same command again"
        )
    if planned.step in (Step.UPLOAD, Step.TAG):
        _tag(connection, planned, version, commit)
    else:
        commit = state.tags[version.tag]
    return Mirrored(planned.handle, planned.sha256, planned.place, version.tag, commit, timestamp())


def _commit(
    connection: Connection, hub: LocalHub, planned: PlannedVersion, version: _Version, parent: str | None
) -> str:
    remote = connection.read_files(planned.place, parent) if parent else {}
    changed = {file.path for file in version.compare(remote) if file.change is not Change.UNCHANGED}
    pages = {path: content for path, content in version.pages.items() if path in changed}
    formats = {path: hub.folder / planned.handle / path for path in _paths(version.formats) & changed}
    deleted = version.surplus(remote)
    if planned.step is not Step.UPLOAD:  # formats of this version that another machine published stay
        deleted = [path for path in deleted if not is_format_file(path)]
    message = f"{planned.handle}, {_WHAT.get(planned.step, 'tarball')} {planned.sha256}"
    has_model = not changed.isdisjoint(_paths(version.model))
    with unpacked(hub, version.entry) if has_model else nullcontext(Path()) as folder:
        model = {path: folder / path for path in _paths(version.model) & changed}
        try:
            return connection.commit(planned.place, {**model, **formats, **pages}, deleted, parent, message)
        except Moved:
            raise _moved(planned) from None


def _paths(files: tuple[MirrorFile, ...]) -> set[str]:
    return {file.path for file in files}


def _tag(connection: Connection, planned: PlannedVersion, version: _Version, commit: str) -> None:
    with suppress(Moved):  # the next lines tell whose it is
        connection.tag(planned.place, version.tag, commit)
    state = connection.read(planned.place)
    if state is None or state.tags.get(version.tag) != commit:
        raise Fault(
            f"{planned.place}: the tag {version.tag} does not name the commit {commit} that was made for it: somebody"
            " else made it meanwhile; run make release-plan again"
        )


def _moved(planned: PlannedVersion) -> Fault:
    return Fault(
        f"{planned.place}: somebody else wrote to the main branch since the plan was made; run make release-plan again"
    )
