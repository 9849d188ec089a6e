"""audit: checks a hub against its index, TF-Hub's rules, the SavedModels in its tarballs and, where given, the reports.

    python -m pipeline.audit HUB [--artifacts FOLDER]

reads all of it, one module at a time, and changes nothing. It fails with a list of problems: files that are missing or
damaged, an index that changes meanwhile, a tarball or weights that two modules share, files that only their owner may
read, tarballs or pages that break a rule, pages with another handle, an asset-path to another module, tags that the
SavedModel contradicts, dead links, a sitemap that leads nowhere or lacks a page, counts that differ from their list,
SVG files that a browser may run, figures that are quoted for weights which are not verified, and figures that differ
from FOLDER/<member>/report.json. A report of other bytes than the published ones is not used; the last line names the
reports that were used, and the modules without one. Where index.json is damaged, it says so and checks the rest. Of the
further formats it checks that index.json names their files, that a tarball keeps the rules, and that LiteRT and ONNX
files say that they were made from the module beside them.
"""

import argparse
import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntEnum, auto
from functools import cached_property
from pathlib import Path

from pipeline.base.command import command
from pipeline.base.fault import Fault, list_names
from pipeline.base.heads import Head
from pipeline.base.program import program
from pipeline.base.progress import Progress
from pipeline.base.verification import Verification
from pipeline.cards import agreement, claims, counts, drafts, figures
from pipeline.cards.agreement import Models
from pipeline.cards.claims import Output, Training
from pipeline.cards.page import Page, Problem, read_page
from pipeline.facts.report import Report, load_report, with_recorded_arrays
from pipeline.hub import integrity
from pipeline.hub.entries import ModuleEntry
from pipeline.hub.folder import compare_export, hub_folder, read_index, read_root
from pipeline.hub.guide_checks import find_guide_problems
from pipeline.hub.index import Index
from pipeline.hub.listed import ListedModule
from pipeline.hub.notices import notice_problems
from pipeline.hub.overview import Overview
from pipeline.hub.scan import Scan, find_changes, iterate_modules, scan_hub
from pipeline.hub.sitemap_checks import find_sitemap_problems
from pipeline.hub.stored import outdated_copies
from pipeline.runtimes.published_files import find_format_problems
from pipeline.saved_model.files import content_digest, find_packing_faults, find_unsafe_names, read_tarball_digests
from pipeline.saved_model.inspection import Inspection, inspect_saved_model

_SHOWN = 10  # malformed entries of an index; it may have nothing else


@dataclass(frozen=True)
class ReportFile:
    """A report of published bytes: its path, its content, and the module it is about."""

    path: Path
    report: Report
    head: Head


class Check(IntEnum):
    """The checks, in the order of their findings."""

    INDEX = auto()
    EXPORT = auto()
    FILES = auto()
    COPIES = auto()
    TARBALLS = auto()
    WEIGHTS = auto()
    PRIVATE = auto()
    DEAD = auto()
    UNLISTED = auto()
    PICTURES = auto()
    FORMAT_FILES = auto()
    FORMATS = auto()
    QUOTES = auto()
    STATUSES = auto()
    ALIASES = auto()
    SUCCESSORS = auto()
    TITLES = auto()
    GUIDES = auto()
    SITEMAP = auto()
    REPORTS = auto()
    PAGES = auto()


Finding = tuple[Check, str, str]  # a problem: the check, what sorts it among those of the check, and the sentence


@dataclass(frozen=True)
class Hub:
    """What the checks know of a whole hub.

    Attributes:
        folder: of the hub.
        overview: of what it lists.
        artifacts: the folder of the members' reports; None where reports are not compared.
    """

    folder: Path
    overview: Overview
    artifacts: Path | None

    @cached_property
    def members(self) -> dict[tuple[str, str], list[ListedModule]]:
        """The modules of each member."""
        members: dict[tuple[str, str], list[ListedModule]] = {}
        for module in self.overview.modules.values():
            members.setdefault(module.member, []).append(module)
        return members

    @cached_property
    def reports(self) -> dict[str, Path]:
        """The reports of the published bytes by handle, of the modules that were checked so far."""
        return {}

    @cached_property
    def unreadable(self) -> set[str]:
        """The faults of reports that cannot be read."""
        return set()

    @cached_property
    def changed(self) -> dict[Path, None]:
        """The files of the index that changed since it was read, in the order in which that was seen."""
        return {}

    @cached_property
    def weights(self) -> dict[str, integrity.Weights]:
        """The weights in the tarballs by handle, of the modules that were checked so far."""
        return {}

    def report(self, handle: str) -> ReportFile | None:
        """Returns the report of a module that was checked; None where there is none of the published bytes."""
        if handle not in self.reports:
            return None
        return _read_report(self.reports[handle], self.overview.modules[handle])


@dataclass(frozen=True)
class Findings:
    """The result of an audit.

    Attributes:
        problems: each a sentence that begins with the file.
        reports: the reports that pages were compared with, by their modules' handles.
    """

    problems: tuple[str, ...]
    reports: dict[str, Path]


def audit(folder: Path, scan: Scan, artifacts: Path | None) -> Findings:
    """Reads all of a hub, one module at a time, and returns what is wrong with it.

    Args:
        folder: the hub.
        scan: what can be read of its index.
        artifacts: the folder of the members' reports.
    """
    hub = Hub(folder, scan.overview, artifacts)
    is_damaged = bool(scan.faults)
    found = [*_check_index(hub, scan.faults), *_check_modules(hub, scan), *_check_whole(hub, is_damaged)]
    found += _check_changes(hub, scan)
    found.sort(key=lambda finding: finding[:2])
    return Findings(tuple(text for _, _, text in found), dict(sorted(hub.reports.items())))


def _check_index(hub: Hub, faults: Sequence[Fault]) -> Iterator[Finding]:
    for number, fault in enumerate(faults[:_SHOWN]):
        yield Check.INDEX, f"{number:02}", str(fault)
    if faults[_SHOWN:]:
        yield Check.INDEX, "more", f"{hub.folder}: {len(faults) - _SHOWN:,} more entries are malformed"
    if not faults:
        texts = compare_export(hub.folder, hub.overview.entries, lambda: read_index(hub.folder).document)
        yield from ((Check.EXPORT, "", text) for text in texts)


def _check_changes(hub: Hub, scan: Scan) -> Iterator[Finding]:
    """Says that somebody published while the hub was checked: the list of its modules is out of date."""
    if changed := {**hub.changed, **dict.fromkeys(find_changes(hub.folder, scan))}:
        names = list_names([path.relative_to(hub.folder).as_posix() for path in changed], 3)
        text = "the hub changed while it was checked, so some of it was not; run check-hub again"
        yield Check.INDEX, "", f"{hub.folder}: {text} ({names})"


def _check_modules(hub: Hub, scan: Scan) -> Iterator[Finding]:
    """Checks each module with all of its versions, and each collection but for its page."""
    with Progress("check-hub", len(hub.overview.modules), "modules") as progress:
        for part in iterate_modules(scan):
            if isinstance(part, Path):
                hub.changed[part] = None
                continue
            for handle, entry in part.modules.items():
                own = replace(part, modules={handle: entry})
                yield from ((check, handle, text) for check, text in _check_version(hub, own, entry))
                progress.advance(1)
            unlisted = () if scan.faults else integrity.unlisted_pages_of(hub.folder, part)
            yield from ((Check.UNLISTED, *found) for found in unlisted)
            name = next(iter(part.document["aliases"]), "")
            yield from ((Check.ALIASES, name, text) for text in integrity.wrong_aliases(hub.folder, part))
            for address in part.collections:
                # After those of modules, which begin with an ASCII letter or digit.
                yield from ((Check.FILES, f"~{address}", text) for text in integrity.damaged_files(hub.folder, part))
                copies = outdated_copies(hub.folder, part.collections.values())
                yield from ((Check.COPIES, f"~{address}", text) for text in copies)


def _check_version(hub: Hub, own: Index, entry: ModuleEntry) -> Iterator[tuple[Check, str]]:
    """Checks one version of a module: its files, its entry and its card."""
    folder, handle = hub.folder, entry.handle
    files = _read_files(folder, handle)
    packed = content_digest(files)
    if weights := integrity.read_weights(files):
        hub.weights[handle] = weights
    try:
        _find_report(hub, entry, packed)
    except Fault as fault:
        if str(fault) not in hub.unreadable:  # of both modules of a member
            hub.unreadable.add(str(fault))
            yield Check.REPORTS, str(fault)
    listed = hub.overview.modules
    successors = integrity.find_dead_successors(
        folder, own, lambda other: listed[other].is_yanked if other in listed else None
    )
    checks = {
        Check.FILES: integrity.damaged_files(folder, own),
        Check.COPIES: outdated_copies(folder, [entry]),
        Check.FORMAT_FILES: integrity.wrong_formats(folder, own),
        Check.FORMATS: _formats(folder, entry, packed if files else None),
        Check.QUOTES: integrity.unverified_quotes(folder, own),
        Check.STATUSES: integrity.wrong_statuses(folder, own),
        Check.SUCCESSORS: successors,
        Check.TITLES: integrity.wrong_titles(folder, own),
        Check.PAGES: _pages(hub, {f"{handle}.md": f"# Module {handle}"}, entry),
    }
    for check, texts in checks.items():
        yield from ((check, text) for text in texts)


def _check_whole(hub: Hub, is_damaged: bool) -> Iterator[Finding]:
    """Checks what concerns several modules, once each of them was checked."""
    folder, overview = hub.folder, hub.overview
    checks = {
        Check.TARBALLS: integrity.equal_listed_tarballs(folder, overview),
        Check.WEIGHTS: integrity.equal_weights(folder, hub.weights),
        Check.PRIVATE: integrity.private_files(folder),
        Check.DEAD: integrity.dead_files(folder),
        Check.PICTURES: integrity.unsafe_pictures(folder),
        Check.GUIDES: find_guide_problems(folder, overview),
        Check.SITEMAP: () if is_damaged else find_sitemap_problems(folder, _public_url(folder), overview),
    }
    for check, texts in checks.items():
        yield from ((check, "", text) for text in texts)
    if not is_damaged:
        yield from ((Check.UNLISTED, *found) for found in integrity.unlisted_pages_elsewhere(folder, overview))
    lines = integrity.first_lines(Index({}, dict(overview.collections), {}))
    lines |= {f"{name}/{name}.md": f"# Publisher {name}" for name in overview.publishers}
    if is_damaged:
        known = {f"{handle}.md" for handle in overview.modules}
        found = integrity.found_pages(folder)
        lines |= {path: line for path, line in found.items() if path not in known}
    yield from ((Check.PAGES, "~", text) for text in _pages(hub, lines))


def _public_url(folder: Path) -> str | None:
    """Returns the public address of a hub whose index can be read."""
    root = read_root(folder)
    return root.url if root else None


def _read_files(folder: Path, handle: str) -> list[tuple[str, str]]:
    """Returns the paths and SHA-256 of the files in a tarball; none of one that damaged_files() and _tarball() name."""
    with suppress(Fault, FileNotFoundError):
        return read_tarball_digests(folder / f"{handle}.tar.gz")
    return []


# Reports --------------------------------------------------------------------------------------------------------------
def _find_report(hub: Hub, entry: ModuleEntry, packed: str) -> None:
    """Remembers <artifacts>/<member>/report.json where it is of the published bytes; raises Fault where it is damaged.

    Args:
        hub: to which the report is added.
        entry: of the module.
        packed: the digest of the content of its tarball.
    """
    member, _, head = entry.name.rpartition("_")
    if hub.artifacts is None or head not in list(Head):
        return
    path = hub.artifacts / member / "report.json"
    if path.is_file() and packed == _load(path).modules[Head(head)].content_sha256:
        hub.reports[entry.handle] = path


@functools.lru_cache(maxsize=8)  # both modules of a member have the same report
def _load(path: Path) -> Report:
    return load_report(path)


def _read_report(path: Path, module: ListedModule) -> ReportFile:
    report = _load(path)
    if module.weights == Verification.DOWNLOADED:  # a lock file may have come after the report
        report = with_recorded_arrays(report, report.checkpoint.arrays_sha256)
    return ReportFile(path, report, Head(module.name.rpartition("_")[2]))


def _with_report(file: ReportFile, problems: Iterator[Problem]) -> Iterator[Problem]:
    """Adds the report's path to what it contradicts: it may be of a later evaluation of the same bytes."""
    for problem in problems:
        text = f"{problem.text}; compared with {file.path}, ARTIFACTS= names another folder of reports"
        yield replace(problem, text=text)


# Formats --------------------------------------------------------------------------------------------------------------
def _formats(folder: Path, entry: ModuleEntry, content: str | None) -> Iterator[str]:
    """Yields what is wrong with the files that formats are loaded from; missing ones are damaged_files()'s."""
    for published in entry.formats:
        if (folder / published.file).is_file():
            yield from find_format_problems(folder / published.file, published.name, entry.handle, content)


# Pages ----------------------------------------------------------------------------------------------------------------
def _pages(hub: Hub, lines: Mapping[str, str], entry: ModuleEntry | None = None) -> Iterator[str]:
    """Returns what is wrong with pages, by their paths and first lines; `entry` is that of the module of a card."""
    return integrity.check_pages(hub.folder, lines, lambda path, first: _page(hub, path, first, entry))


def _page(hub: Hub, path: Path, first: str, entry: ModuleEntry | None) -> Iterator[Problem]:
    name = path.relative_to(hub.folder).as_posix().removesuffix(".md")
    if first.startswith("# Publisher "):
        yield from integrity.publisher_page_problems(hub.folder, path, first)
        return
    page = read_page(path, integrity.largest_page(first))
    yield from integrity.page_problems(hub.folder, path, page, first)
    if entry:
        yield from _card(hub, page, entry)
    elif name in hub.overview.collections:
        handles = _linked_modules(hub, path, page)
        families = {hub.overview.modules[handle].family or "" for handle in handles}
        yield from counts.collection_problems(page, families)
        yield from agreement.page_problems(page, _models_of(hub, handles))
        yield from _performance(hub, path, page)
        for file in filter(None, map(hub.report, handles)):
            yield from _with_report(file, claims.prose_quote_problems(page, file.report))
    elif (hub.folder / f"{name}.tar.gz").is_file():  # of a module whose entry is damaged
        yield from _asset_path(page, name)
        yield from _tarball(hub, page, name)


def _linked_modules(hub: Hub, path: Path, page: Page) -> list[str]:
    """Returns the handles of the modules to whose cards a page links, sorted."""
    linked = {_linked_module(hub, path, link.text) for link in page.links()}
    return sorted(linked - {None}, key=str)  # type: ignore[arg-type]  # without None


def _linked_module(hub: Hub, path: Path, link: str) -> str | None:
    """Returns the handle of the module to whose card a link of a page leads; None where it leads elsewhere."""
    target, root = (path.parent / link).resolve(), hub.folder.resolve()
    if not target.is_relative_to(root):
        return None
    handle = target.relative_to(root).as_posix().removesuffix(".md")
    return handle if target.suffix == ".md" and handle in hub.overview.modules else None


def _card(hub: Hub, page: Page, entry: ModuleEntry) -> Iterator[Problem]:
    """Checks a card against its handle, the tarball and the report; a problem that two of them show is yielded once."""
    handle = entry.handle
    problems = [*_asset_path(page, handle), *_tarball(hub, page, handle), *claims.quote_problems(page, entry.weights)]
    if entry.weights:  # cards of releases that did not say how weights were verified do not know drafts either
        problems += drafts.draft_problems(page, entry.missing)
    problems += notice_problems(page, entry)
    problems += agreement.page_problems(page, _models_of(hub, [handle]))
    yield from problems
    if file := hub.report(handle):
        others = [
            *_verification(entry, file.report),
            *claims.card_problems(page, file.report, file.head),
            *claims.prose_quote_problems(page, file.report),
            *figures.digest_problems(page, file.report),
            *figures.card_figures(page, file.report, file.head),
        ]
        yield from _with_report(file, (problem for problem in others if problem not in problems))


def _verification(entry: ModuleEntry, report: Report) -> Iterator[Problem]:
    """Yields that the index says otherwise than the report how the weights were verified; an older index is silent."""
    expected = report.checkpoint.verification
    if entry.weights not in (None, expected):
        yield Problem(1, f"index.json calls the weights {entry.weights}, the report {expected}; publish the card again")


def _models_of(hub: Hub, handles: Sequence[str]) -> Models:
    """Returns the models of some handles, and of the other modules of their members, as the index has them."""
    members = dict.fromkeys(hub.overview.modules[handle].member for handle in handles)
    entries = [module for member in members for module in hub.members[member]]
    named, licensed = {entry.dataset for entry in entries}, {entry.license for entry in entries}
    return Models(
        sizes=frozenset(entry.image_size for entry in entries if entry.image_size),
        variants=frozenset(entry.variant for entry in entries if entry.variant),
        families=frozenset(entry.architecture for entry in entries if entry.architecture),
        parameters=frozenset(entry.parameters for entry in entries if entry.parameters),
        dataset=named.pop() or "" if len(named) == 1 else "",
        license=licensed.pop() or "" if len(licensed) == 1 else "",
    )


def _asset_path(page: Page, handle: str) -> Iterator[Problem]:
    for tag in page.tags:
        if tag.key == "asset-path" and not tag.value.endswith(f"/{handle}.tar.gz"):
            text = f"asset-path leads to {tag.value!r}, expected the tarball of {handle}"
            yield Problem(tag.line, f"{text}, .../{handle}.tar.gz; write the card again")


def _tarball(hub: Hub, page: Page, handle: str) -> Iterator[Problem]:
    """Checks a card against the published tarball, which depends on no report or template."""
    tarball = hub.folder / f"{handle}.tar.gz"
    if not tarball.is_file():
        return
    inspection = inspect_saved_model(tarball)
    if output := output_of(inspection):
        yield from claims.task_problems(page, output)
    yield from claims.training_problems(page, training_of(inspection))
    line = next((tag.line for tag in page.tags if tag.key == "asset-path"), 1)
    for finding in (*find_unsafe_names(inspection.files), *find_packing_faults(inspection.files)):
        text = finding.text.removeprefix(f"{tarball}: ")
        yield Problem(line, f"the tarball that asset-path leads to breaks a rule for published files: {text}")
    if inspection.empty_attributes:
        text = "asset-path leads to loads in TensorFlow's Python loader only, not in TensorFlow Serving, Java, Go or C"
        yield Problem(line, f"the tarball that {text}: make doctor names the cause; raise module.version to publish it")


def output_of(inspection: Inspection) -> Output | None:
    """Returns the output of a SavedModel's serving_default; None where its name is neither logits nor features."""
    signature = inspection.signatures.get("serving_default")
    for name, tensor in (signature.outputs if signature else {}).items():
        if name in {head.output for head in Head} and tensor.shape and tensor.shape[-1]:
            return Output(name, tensor.shape[-1])
    return None


def training_of(inspection: Inspection) -> Training:
    """Returns how many trainable variables a SavedModel has; without saved gradients none of them has one."""
    trainable = inspection.variables.trainable
    return Training(trainable, 0 if inspection.gradients is False else trainable)


def _performance(hub: Hub, path: Path, page: Page) -> Iterator[Problem]:
    """Checks the table of a collection's page against the index and the reports of its modules."""
    section, column = page.section("Performance"), claims.quoted_column(page)
    for link in page.links():
        handle = _linked_module(hub, path, link.text) if link.line in section else None
        if handle is None:
            continue
        entry = hub.overview.modules[handle]
        weights = Verification(entry.weights) if entry.weights else None
        yield from claims.row_quote_problems(page, link.line, column, weights)
        if file := hub.report(handle):
            problems = figures.performance_figures(page, link.line, entry.title, link.text, file.report)
            yield from _with_report(file, problems)


# The command ----------------------------------------------------------------------------------------------------------
def describe_reports(overview: Overview, artifacts: Path | None, reports: dict[str, Path]) -> str:
    """Returns which reports the figures were compared with, and which modules have none."""
    paths = sorted({str(path) for path in reports.values()})
    text = f"figures compared with {list_names(paths, 3) if paths else 'no report'}"
    if artifacts and (without := overview.modules.keys() - reports.keys()):
        names = list_names(sorted(without), 3)
        text += f"; {artifacts} has no report of the published bytes of {names} (ARTIFACTS= names another folder)"
    return text


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog=program("audit"), description="Says what is wrong with a hub.")
    parser.add_argument("hub", help="the hub: a folder")
    parser.add_argument("--artifacts", type=Path, help="the folder of all members' folders, for their reports")
    args = parser.parse_args(arguments)
    folder = hub_folder(args.hub)
    if args.artifacts and not args.artifacts.is_dir():
        raise Fault(f"ARTIFACTS={args.artifacts}: no such folder; expected the folder of the members' reports")
    scan = scan_hub(folder)
    overview, findings = scan.overview, audit(folder, scan, args.artifacts)
    compared = describe_reports(overview, args.artifacts, findings.reports)
    if findings.problems:
        raise Fault(
            "\n".join([f"{_count(len(findings.problems), 'problem')} in {folder}; {compared}", *findings.problems])
        )
    modules, collections = _count(len(overview.modules), "module"), _count(len(overview.collections), "collection")
    return f"{folder}: {modules}, {collections}, nothing wrong; {compared}"


if __name__ == "__main__":
    raise SystemExit(command("audit", main))
