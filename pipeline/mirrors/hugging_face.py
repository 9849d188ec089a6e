"""Mirrors a hub on Hugging Face: a repository per module, a tag per version.

A repository has the files of the SavedModel, the card as README.md, and the provenance statement. A version is one
commit, which its tag names last. Tags never move; a corrected card goes to the main branch alone.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

from pipeline.base.clock import timestamp
from pipeline.base.fault import Fault, list_names
from pipeline.cards.hugging_face import for_repository
from pipeline.cards.other_hosts import HUGGING_FACE
from pipeline.hub.entries import ModuleEntry
from pipeline.mirrors.content import (
    STATEMENT,
    MirrorFile,
    describe_bytes,
    find_refusal,
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
_PAGES = (README, STATEMENT)  # may be corrected; the files of the model never change
_OWN = ".gitattributes"  # Hugging Face writes it into every repository
_TAG = re.compile("v([1-9][0-9]{0,8})")


@dataclass(frozen=True)
class _Version:
    """A version as its repository will have it: the files of the model, and the pages' content by path."""

    entry: ModuleEntry
    model: tuple[MirrorFile, ...]
    pages: dict[str, bytes]

    @cached_property
    def files(self) -> tuple[MirrorFile, ...]:
        pages = (describe_bytes(path, content) for path, content in self.pages.items())
        return tuple(sorted((*self.model, *pages), key=lambda file: file.path))

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

    def is_model_of(self, remote: dict[str, RemoteFile]) -> bool:
        """Whether a commit has exactly the files of the model, whatever its pages are."""
        same = all(_change(file, remote.get(file.path)) is Change.UNCHANGED for file in self.model)
        return same and not set(self.surplus(remote)) - set(_PAGES)

    def is_in(self, remote: dict[str, RemoteFile]) -> bool:
        """Whether a commit has exactly this version."""
        same = all(file.change is Change.UNCHANGED for file in self.compare(remote))
        return same and not self.surplus(remote)


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
    """

    connection: Connection
    name: str
    state: Repository | None
    newest: int

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
            repository = _Place(connection, place, connection.read(place), newest)
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
    pages = {
        README: for_repository(_with_warning(read_page(hub, entry, HUGGING_FACE) or "", entry), repository).encode()
    }
    if statement := read_statement(hub, entry):
        pages[STATEMENT] = statement
    return _Version(entry, read_model_files(hub, entry), pages)


def _with_warning(page: str, entry: ModuleEntry) -> str:
    """Returns a page that says below its title that the version is deprecated, where it is."""
    if not entry.deprecated:
        return page
    text = f"**Deprecated** since {entry.deprecated.date}: use {entry.deprecated.successor} instead."
    return re.sub(r"(?m)^(# .*\n)", lambda title: f"{title[1]}\n{text}\n", page, count=1)


def _plan_new(place: _Place, version: _Version) -> PlannedVersion:
    """Plans a version that has no tag yet."""
    foreign = set(version.surplus(place.main_files)) - place.tagged_files.keys()
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
    if not version.is_model_of(remote):
        wrong = [file.path for file in planned.files if file.change is not Change.UNCHANGED and file.path not in _PAGES]
        names = list_names(wrong + version.surplus(remote))
        text = f"{version.tag} is there with another model ({names}); raise module.version, or repair the tag there"
        return replace(planned, step=Step.REFUSED, reason=f"{moved}: {text}" if moved else text)
    if entry.version == place.newest == place.tagged and version.is_model_of(place.main_files):
        if not version.is_in(place.main_files):
            return replace(planned, step=Step.PAGE, files=version.compare(place.main_files), reason=moved)
    elif not version.is_in(remote):
        moved = "; ".join(filter(None, [moved, "the tag keeps the card that it was made with"]))
    return replace(planned, reason=moved)


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
    if planned.step is not Step.PAGE:
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
    message = f"{planned.handle}, {'card' if planned.step is Step.PAGE else 'tarball'} {planned.sha256}"
    with unpacked(hub, version.entry) as folder:
        model = {file.path: folder / file.path for file in version.model if file.path in changed}
        try:
            return connection.commit(planned.place, {**model, **pages}, version.surplus(remote), parent, message)
        except Moved:
            raise _moved(planned) from None


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
