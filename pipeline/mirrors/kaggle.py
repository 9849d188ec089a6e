"""Mirrors a hub on Kaggle: a model per member, a variation per module, whose versions Kaggle numbers.

Kaggle adds the same files again as another version. So each version has a file that says which one of the hub it is
(MARKER), the hub remembers the numbers, and Kaggle is looked at before anything is uploaded.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from pipeline.base.clock import timestamp
from pipeline.base.fault import Fault
from pipeline.cards.kaggle import check_instance, check_model, for_owner
from pipeline.cards.other_hosts import KAGGLE_MODEL, KAGGLE_VARIATION
from pipeline.hub.entries import ModuleEntry
from pipeline.mirrors.content import MirrorFile, describe_bytes, find_refusal, read_model_files, read_page, unpacked
from pipeline.mirrors.kaggle_client import MARKER, Connection, Marker, ModelPage, Refused, Variation, VariationPage
from pipeline.mirrors.plan import Host, MirrorAddress, PlannedVersion, Step
from pipeline.mirrors.records import Mirrored, MirrorRecord, Sent, read_record, write_record
from pipeline.releasing.local_hub import LocalHub
from pipeline.releasing.plan import Change, PlannedFile

MOST_FILES = 50  # of a version; for more, Kaggle's client packs an archive, which nobody can load a model from
# After which Kaggle shows a version that it was asked to add, or has lost it.
PROCESSING = timedelta(minutes=15)
_LOOKS = (0.0, 2.0, 5.0, 10.0)  # seconds before each look for a version that was added a moment ago


@dataclass(frozen=True)
class _Version:
    """A version as Kaggle will have it.

    Attributes:
        entry: of the version.
        variation: where it goes.
        files: of the model, and the marker.
        model_page, page: what Kaggle is to show of the model and of the variation.
    """

    entry: ModuleEntry
    variation: Variation
    files: tuple[MirrorFile, ...]
    model_page: ModelPage
    page: VariationPage

    @property
    def marker(self) -> Marker:
        return Marker(self.entry.handle, self.entry.tarball.sha256)


@dataclass(frozen=True)
class _Place:
    """A variation, and what is there.

    Attributes:
        variation: the place.
        newest: its newest number, 0 where there is no such variation.
        markers: by number, of the versions that have one.
        model_page, page: what Kaggle shows; None where there is no such model or variation.
    """

    variation: Variation
    newest: int
    markers: dict[int, Marker]
    model_page: ModelPage | None
    page: VariationPage | None

    def number_of(self, marker: Marker) -> int | None:
        return next((number for number, other in self.markers.items() if other == marker), None)

    def shows(self, version: _Version) -> bool:
        """Whether Kaggle shows what it is to show; it may change spaces and line ends of texts."""
        if self.model_page is None or self.page is None:
            return False
        license_name = self.page.license if not version.page.license else version.page.license
        page = replace(version.page, license=license_name)
        return _words(self.model_page) == _words(version.model_page) and _words(self.page) == _words(page)


def _words(page: ModelPage | VariationPage) -> list[str]:
    return " ".join(map(str, vars(page).values())).split()


# The plan -------------------------------------------------------------------------------------------------------------
def plan_versions(hub: LocalHub, owner: str, record: MirrorRecord) -> Iterator[PlannedVersion]:
    """Yields what becomes of each version of a hub.

    Args:
        hub: was checked.
        owner: whose models.
        record: what the hub remembers of this mirror.

    Raises:
        Fault: when Kaggle cannot be reached or refuses the credentials.
    """
    places, owners = dict[str, _Place](), dict[str, str]()
    with closing(Connection(owner)) as connection:
        for name, entries in sorted(hub.index.versions.items()):
            newest = max((entry.version for entry in entries if not entry.yanked), default=0)
            for entry in sorted(entries, key=lambda entry: entry.version):
                pages = {page: read_page(hub, entry, page) for page in (KAGGLE_MODEL, KAGGLE_VARIATION)}
                if entry.yanked:
                    yield _without(entry, "", Step.PASSED, f"yanked: {entry.yanked.reason}")
                    continue
                if refusal := find_refusal(hub, entry, pages):
                    yield _without(entry, "", Step.REFUSED, refusal)
                    continue
                version = _read_version(hub, owner, entry)
                where = str(version.variation)
                if owners.setdefault(where, name) != name:
                    yield _without(entry, where, Step.REFUSED, f"{owners[where]} goes to {where}, too")
                    continue
                if where not in places:
                    places[where] = _look(connection, version.variation, record)
                yield _plan_version(places[where], version, record.sent.get(entry.handle), entry.version == newest)


def _without(entry: ModuleEntry, where: str, step: Step, reason: str) -> PlannedVersion:
    return PlannedVersion(entry.handle, entry.tarball.sha256, where, None, step, None, reason=reason)


def _read_version(hub: LocalHub, owner: str, entry: ModuleEntry) -> _Version:
    model = _read_metadata(hub, entry, KAGGLE_MODEL)
    variation = _read_metadata(hub, entry, KAGGLE_VARIATION)
    marker = describe_bytes(MARKER, Marker(entry.handle, entry.tarball.sha256).render().encode())
    files = tuple(sorted((*read_model_files(hub, entry), marker), key=lambda file: file.path))
    if len(files) > MOST_FILES:
        raise Fault(f"{entry.handle}: it has {len(files)} files, and a version on Kaggle at most {MOST_FILES}")
    warning = f"Deprecated: use {entry.deprecated.successor} instead. " if entry.deprecated else ""
    return _Version(
        entry=entry,
        variation=Variation(owner, str(variation["modelSlug"]), str(variation["instanceSlug"])),
        files=files,
        model_page=ModelPage(
            title=str(model["title"]),
            subtitle=str(model.get("subtitle", "")),
            description=for_owner(str(model["description"]), owner),
            provenance=str(model.get("provenanceSources", "")),
        ),
        page=VariationPage(
            overview=warning + str(variation.get("overview", "")),
            usage=for_owner(str(variation["usage"]), owner),
            license=str(variation.get("licenseName", "")),
            is_fine_tunable=bool(variation["fineTunable"]),
            training_data=_texts(variation.get("trainingData")),
        ),
    )


def _read_metadata(hub: LocalHub, entry: ModuleEntry, name: str) -> dict[str, object]:
    text, where = read_page(hub, entry, name) or "", str(hub.folder / entry.handle / name)
    (check_model if name == KAGGLE_MODEL else check_instance)(text, where)
    metadata: dict[str, object] = json.loads(text)
    return metadata


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _look(connection: Connection, variation: Variation, record: MirrorRecord) -> _Place:
    """Reads what is in a place; the markers of versions that the hub remembers are not read again."""
    model_page, found = connection.read_model(variation.model), connection.read_variation(variation)
    newest, page = found or (0, None)
    known = {
        int(mirrored.name): Marker(mirrored.handle, mirrored.sha256)
        for mirrored in record.mirrored.values()
        if mirrored.place == str(variation) and mirrored.name.isdecimal()
    }
    markers = {
        number: known.get(number) or connection.read_marker(variation, number) for number in range(1, newest + 1)
    }
    there = {number: marker for number, marker in markers.items() if marker is not None}
    return _Place(variation, newest, there, model_page, page)


def _plan_version(place: _Place, version: _Version, sent: Sent | None, is_newest: bool) -> PlannedVersion:
    number, handle = place.number_of(version.marker), version.entry.handle
    planned = PlannedVersion(
        handle,
        version.entry.tarball.sha256,
        str(place.variation),
        str(number) if number else None,
        Step.UPLOAD,
        str(place.newest) if place.newest else None,
        _planned_files(version, Change.UNCHANGED if number else Change.NEW),
    )
    if number:
        is_last = is_newest and number == max(place.markers)
        return replace(planned, step=Step.PAGE if is_last and not place.shows(version) else Step.NOTHING)
    for there, other in place.markers.items():
        if other.handle == handle:
            text = f"number {there} there is this version with another tarball: sha256 {other.sha256}"
            return replace(planned, step=Step.REFUSED, reason=f"{text}; raise module.version")
        if other.version > version.entry.version:
            text = f"number {there} there is {other.handle}, and numbers go upwards only"
            return replace(planned, step=Step.PASSED, reason=text)
    if sent and sent.place == planned.place and sent.newest == place.newest > 0 and _is_pending(sent):
        until = (datetime.fromisoformat(sent.date) + PROCESSING).isoformat(timespec="seconds")
        text = f"it was sent at {sent.date}, and Kaggle does not show it yet; run the same command again after {until}"
        return replace(planned, step=Step.REFUSED, reason=text)
    return planned


def _planned_files(version: _Version, change: Change) -> tuple[PlannedFile, ...]:
    return tuple(PlannedFile(file.path, file.size, file.sha256, change) for file in version.files)


def _is_pending(sent: Sent) -> bool:
    try:
        return datetime.now(UTC) - datetime.fromisoformat(sent.date) < PROCESSING
    except (ValueError, TypeError):  # of a date that this program did not write
        return True


# Carrying it out ------------------------------------------------------------------------------------------------------
def carry_out(hub: LocalHub, owner: str, planned: PlannedVersion, newest: int) -> Mirrored:
    """Writes one version, and remembers it in the hub.

    Args:
        hub: holds it.
        owner: whose models.
        planned: what to do.
        newest: the number of the newest version that must be there, 0 for a variation that must not be there.

    Raises:
        Fault: when somebody else wrote there meanwhile, or Kaggle fails.
    """
    address, version = MirrorAddress(Host.KAGGLE, owner), _read_version(hub, owner, hub.index.modules[planned.handle])
    number = int(planned.name or 0)
    with closing(Connection(owner)) as connection:
        place = _look(connection, version.variation, read_record(hub.folder, address))
        if place.newest != newest:
            text = "somebody else wrote there since the plan was made; run make release-plan again"
            raise Fault(f"{planned.place}: {text}")
        if place.model_page is None:
            _refusing(lambda: connection.create_model(version.variation.model, version.model_page))
        if planned.step is Step.UPLOAD:
            number = _upload(connection, hub, address, version, newest)
        if place.page is not None and not place.shows(version):
            _refusing(lambda: connection.update_model(version.variation.model, version.model_page))
            _refusing(lambda: connection.update_variation(version.variation, version.page))
    return Mirrored(planned.handle, planned.sha256, planned.place, str(number), None, timestamp())


def _refusing(change: Callable[[], None]) -> None:
    try:
        change()
    except Refused as reason:
        raise Fault(str(reason)) from None


def _upload(connection: Connection, hub: LocalHub, address: MirrorAddress, version: _Version, newest: int) -> int:
    """Uploads and adds a version; returns its number."""
    handle, marker, record = version.entry.handle, version.marker, read_record(hub.folder, address)
    with unpacked(hub, version.entry) as folder:
        (folder / MARKER).write_text(marker.render())
        uploaded = connection.upload(version.variation, folder, [file.path for file in version.files])
    sent = Sent(marker.sha256, str(version.variation), newest, timestamp())
    write_record(hub.folder, address, record.with_sent(handle, sent))
    try:
        if newest:
            connection.add_version(version.variation, uploaded, f"{handle}, tarball {marker.sha256}")
        else:
            connection.create_variation(version.variation, version.page, uploaded)
    except Refused as reason:
        write_record(hub.folder, address, record.with_sent(handle, None))
        raise Fault(f"{reason}; nothing was added") from None
    number = _find(connection, version, newest)
    _check_files(connection, version, number)
    return number


def _find(connection: Connection, version: _Version, newest: int) -> int:
    """Returns the number of a version that was added a moment ago.

    Raises:
        Fault: when Kaggle does not show it yet.
    """
    for pause in _LOOKS:
        time.sleep(pause)
        found = connection.read_variation(version.variation)
        for number in range(newest + 1, (found[0] if found else 0) + 1):
            if connection.read_marker(version.variation, number) == version.marker:
                return number
    raise Fault(
        f"{version.variation}: {version.entry.handle} was sent, and Kaggle does not show it yet: it processes new"
        " files; run the same command again in some minutes, it is not uploaded twice"
    )


def _check_files(connection: Connection, version: _Version, number: int) -> None:
    there, expected = connection.list_files(version.variation, number), {file.path: file.size for file in version.files}
    if there != expected:
        wrong = sorted(path for path, _ in there.items() ^ expected.items())
        raise Fault(
            f"{version.variation}/{number}: its files are not those of {version.entry.handle}, {wrong[0]} for one;"
            " delete the version there, and run the same command again"
        )


def recognise(hub: LocalHub, address: MirrorAddress, planned: tuple[PlannedVersion, ...]) -> MirrorRecord:
    """Adds the versions that a plan has seen on Kaggle to what the hub remembers; returns that."""
    record = before = read_record(hub.folder, address)
    for version in planned:
        known = record.mirrored.get(version.handle)
        if version.name and (known is None or (known.sha256, known.name) != (version.sha256, version.name)):
            seen = Mirrored(version.handle, version.sha256, version.place, version.name, None, timestamp())
            record = record.with_mirrored(seen)
    if record != before:
        write_record(hub.folder, address, record)
    return record
