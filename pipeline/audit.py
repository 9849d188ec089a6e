"""audit: checks a hub against its index, TF-Hub's rules, the SavedModels in its tarballs and, where given, the reports.

    python -m pipeline.audit HUB [--artifacts FOLDER]

reads all of it and changes nothing. It fails with a list of problems: files that are missing or damaged, a tarball or
weights that two modules share, files that only their owner may read, tarballs or pages that break a rule, pages with
another handle, an asset-path to another module, tags that the SavedModel contradicts, dead links, counts that differ
from their list, SVG files that a browser may run, figures that are quoted for weights which are not verified, and
figures that differ from FOLDER/<member>/report.json. A report of other bytes than the published ones is not used; the
last line names the reports that were used, and the modules without one. Where index.json is damaged, it says so and
checks the rest. Of the further formats it checks that index.json names their files, that a tarball keeps the rules,
and that LiteRT and ONNX files say that they were made from the module beside them.
"""

import argparse
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.base.command import command
from pipeline.base.fault import Fault, list_names
from pipeline.base.heads import Head
from pipeline.base.program import program
from pipeline.base.verification import Verification
from pipeline.cards import agreement, claims, counts, drafts, figures
from pipeline.cards.agreement import Models
from pipeline.cards.claims import Output, Training
from pipeline.cards.page import Page, Problem, read_page
from pipeline.facts.report import Report, load_report, with_recorded_arrays
from pipeline.hub import integrity
from pipeline.hub.entries import ModuleEntry
from pipeline.hub.folder import find_disagreements, hub_folder, inspect_index
from pipeline.hub.guide_checks import find_guide_problems
from pipeline.hub.index import Index
from pipeline.hub.integrity import Contents
from pipeline.hub.notices import notice_problems
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


@dataclass(frozen=True)
class Hub:
    """What the checks read: the hub's folder and index, and by handle the tarballs' files and the reports."""

    folder: Path
    index: Index
    contents: Contents
    reports: dict[str, ReportFile]


@dataclass(frozen=True)
class Findings:
    """The result of an audit.

    Attributes:
        problems: each a sentence that begins with the file.
        reports: the reports that pages were compared with, by their modules' handles.
    """

    problems: tuple[str, ...]
    reports: dict[str, Path]


def audit(folder: Path, index: Index, artifacts: Path | None, faults: Sequence[Fault] = ()) -> Findings:
    """Reads all of a hub and returns what is wrong with it.

    Args:
        folder: the hub.
        index: what can be read of its index.
        artifacts: the folder of the members' reports.
        faults: what is wrong with the rest of the index.
    """
    contents = _read_contents(folder, index)
    reports, unreadable = _read_reports(index, contents, artifacts)
    problems = (
        *map(str, faults[:_SHOWN]),
        *([f"{folder}: {len(faults) - _SHOWN:,} more entries are malformed"] if faults[_SHOWN:] else []),
        *(() if faults else find_disagreements(folder, index)),
        *integrity.damaged_files(folder, index),
        *outdated_copies(folder, index.entries.values()),
        *integrity.equal_tarballs(folder, index),
        *integrity.equal_weights(folder, index, contents),
        *integrity.private_files(folder),
        *integrity.dead_files(folder),
        *(() if faults else integrity.unlisted_pages(folder, index)),
        *integrity.unsafe_pictures(folder),
        *integrity.wrong_formats(folder, index),
        *_formats(folder, index, contents),
        *integrity.unverified_quotes(folder, index),
        *integrity.wrong_statuses(folder, index),
        *integrity.dead_successors(folder, index),
        *integrity.wrong_titles(folder, index),
        *find_guide_problems(folder, index),
        *unreadable,
        *_pages(Hub(folder, index, contents, reports), integrity.found_pages(folder) if faults else {}),
    )
    return Findings(problems, {handle: file.path for handle, file in reports.items()})


def _read_contents(folder: Path, index: Index) -> Contents:
    contents = {}
    for handle in index.modules:
        with suppress(Fault, FileNotFoundError):  # damaged_files() and _tarball() report these
            contents[handle] = read_tarball_digests(folder / f"{handle}.tar.gz")
    return contents


# Reports --------------------------------------------------------------------------------------------------------------
def _read_reports(
    index: Index, contents: Contents, artifacts: Path | None
) -> tuple[dict[str, ReportFile], dict[str, None]]:
    """Returns the reports of the published bytes by handle, and the faults of those that cannot be read."""
    reports: dict[str, ReportFile] = {}
    unreadable: dict[str, None] = {}
    load = functools.cache(load_report)  # both modules of a member have the same report
    for handle, entry in index.modules.items():
        try:
            report = _report_of(entry, artifacts, load) if artifacts else None
        except Fault as fault:
            unreadable[str(fault)] = None
            continue
        if report and entry.weights is Verification.DOWNLOADED:  # a lock file may have come after the report
            recorded = with_recorded_arrays(report.report, report.report.checkpoint.arrays_sha256)
            report = replace(report, report=recorded)
        packed = content_digest(contents.get(handle, ()))
        if report and packed == report.report.modules[report.head].content_sha256:
            reports[handle] = report
    return reports, unreadable


def _report_of(entry: ModuleEntry, artifacts: Path, load: Callable[[Path], Report]) -> ReportFile | None:
    """Returns <artifacts>/<member>/report.json as `load` reads it, or None where there is none."""
    member, _, head = entry.name.rpartition("_")
    path = artifacts / member / "report.json"
    return ReportFile(path, load(path), Head(head)) if head in list(Head) and path.is_file() else None


def _with_report(file: ReportFile, problems: Iterator[Problem]) -> Iterator[Problem]:
    """Adds the report's path to what it contradicts: it may be of a later evaluation of the same bytes."""
    for problem in problems:
        text = f"{problem.text}; compared with {file.path}, ARTIFACTS= names another folder of reports"
        yield replace(problem, text=text)


# Formats --------------------------------------------------------------------------------------------------------------
def _formats(folder: Path, index: Index, contents: Contents) -> Iterator[str]:
    """Yields what is wrong with the files that formats are loaded from; missing ones are damaged_files()'s."""
    for handle, entry in index.modules.items():
        content = content_digest(contents[handle]) if handle in contents else None
        for published in entry.formats:
            if (folder / published.file).is_file():
                yield from find_format_problems(folder / published.file, published.name, handle, content)


# Pages ----------------------------------------------------------------------------------------------------------------
def _pages(hub: Hub, more: dict[str, str]) -> Iterator[str]:
    """Returns what is wrong with the pages that the index lists, and with `more`, by their paths and first lines."""
    lines = integrity.first_lines(hub.index) | more
    return integrity.check_pages(hub.folder, lines, lambda path, first: _page(hub, path, first))


def _page(hub: Hub, path: Path, first: str) -> Iterator[Problem]:
    page = read_page(path)
    name = path.relative_to(hub.folder).as_posix().removesuffix(".md")
    yield from integrity.page_problems(hub.folder, path, page, first)
    if name in hub.index.modules:
        yield from _card(hub, page, name)
    elif name in hub.index.collections:
        linked = {(path.parent / link.text).resolve() for link in page.links()}
        handles = [handle for handle in hub.index.modules if (hub.folder / f"{handle}.md").resolve() in linked]
        families = {hub.index.modules[handle].family or "" for handle in handles}
        yield from counts.collection_problems(page, families)
        yield from agreement.page_problems(page, _models_of(hub.index, handles))
        yield from _performance(hub, path, page)
        for file in filter(None, map(hub.reports.get, handles)):
            yield from _with_report(file, claims.prose_quote_problems(page, file.report))
    elif (hub.folder / f"{name}.tar.gz").is_file():  # of a module whose entry is damaged
        yield from _asset_path(page, name)
        yield from _tarball(hub, page, name)


def _card(hub: Hub, page: Page, handle: str) -> Iterator[Problem]:
    """Checks a card against its handle, the tarball and the report; a problem that two of them show is yielded once."""
    entry = hub.index.modules[handle]
    problems = [*_asset_path(page, handle), *_tarball(hub, page, handle), *claims.quote_problems(page, entry.weights)]
    if entry.weights:  # cards of releases that did not say how weights were verified do not know drafts either
        problems += drafts.draft_problems(page, entry.missing)
    problems += notice_problems(page, entry)
    problems += agreement.page_problems(page, _models_of(hub.index, [handle]))
    yield from problems
    if file := hub.reports.get(handle):
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


def _models_of(index: Index, handles: Sequence[str]) -> Models:
    """Returns the models of some handles, and of the other modules of their members, as the index has them."""
    members = {index.modules[handle].member for handle in handles}
    entries = [entry for entry in index.modules.values() if entry.member in members]
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
    handles = {(hub.folder / f"{handle}.md").resolve(): handle for handle in hub.index.modules}
    section, column = page.section("Performance"), claims.quoted_column(page)
    for link in page.links():
        handle = handles.get((path.parent / link.text).resolve())
        if link.line not in section or handle is None:
            continue
        entry = hub.index.modules[handle]
        yield from claims.row_quote_problems(page, link.line, column, entry.weights)
        if file := hub.reports.get(handle):
            problems = figures.performance_figures(page, link.line, entry.title, link.text, file.report)
            yield from _with_report(file, problems)


# The command ----------------------------------------------------------------------------------------------------------
def describe_reports(index: Index, artifacts: Path | None, reports: dict[str, Path]) -> str:
    """Returns which reports the figures were compared with, and which modules have none."""
    paths = sorted({str(path) for path in reports.values()})
    text = f"figures compared with {list_names(paths, 3) if paths else 'no report'}"
    if artifacts and (without := index.modules.keys() - reports.keys()):
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
    index, faults = inspect_index(folder)
    findings = audit(folder, index, args.artifacts, faults)
    compared = describe_reports(index, args.artifacts, findings.reports)
    if findings.problems:
        raise Fault(
            "\n".join([f"{_count(len(findings.problems), 'problem')} in {folder}; {compared}", *findings.problems])
        )
    modules, collections = _count(len(index.modules), "module"), _count(len(index.collections), "collection")
    return f"{folder}: {modules}, {collections}, nothing wrong; {compared}"


if __name__ == "__main__":
    raise SystemExit(command("audit", main))
