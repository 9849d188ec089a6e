"""audit: holds everything in a hub against its index, TF-Hub's rules, the SavedModels and, where they are, the reports.

    python -m pipeline.audit HUB [--artifacts FOLDER]

reads all of it and changes nothing. It fails with a list of what is wrong: files that are missing or have other bytes
than index.json says, one tarball or the same weights under two handles, tarballs that TF-Hub would not take, pages that
break a rule or bear another handle, an asset-path that leads to another module, tags that the SavedModel contradicts,
dead links, counts that differ from their list, and figures that FOLDER/<member>/report.json does not have. A report of
other bytes than those published is not looked at; it says which reports were, and of which modules there was none.
"""

import argparse
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.base.command import command
from pipeline.base.fault import Fault, list_names
from pipeline.base.files import sha256_of
from pipeline.base.heads import Head
from pipeline.cards import claims, tf_hub_rules
from pipeline.cards.claims import Output, Training
from pipeline.cards.page import Page, Problem, read_page, refuse_problems
from pipeline.facts.report import Report, load_report
from pipeline.hub.folder import hub_folder, published_index
from pipeline.hub.index import Index
from pipeline.saved_model.files import content_digest, file_faults, tarball_files
from pipeline.saved_model.inspection import Inspection, inspect_saved_model

Contents = dict[str, list[tuple[str, str]]]  # the files of each module's tarball, see artifact.tarball_files()


@dataclass(frozen=True)
class Hub:
    """A hub to look at: its folder, its index, and the folder of members' outputs, if there is one."""

    folder: Path
    index: Index
    artifacts: Path | None = None

    def pages(self) -> dict[str, str]:
        """Returns the first line that each page must have, by its path."""
        modules = {f"{name}.md": f"# Module {name}" for name in self.index.modules}
        collections = {
            f"{name}.md": f"# Collection {entry.publisher}/{entry.name}/1"
            for name, entry in self.index.collections.items()
        }
        return modules | collections | {f"{name}/{name}.md": f"# Publisher {name}" for name in self.index.publishers}

    def report_path(self, name: str) -> Path | None:
        """Returns where the report of a module is, if there is one: <artifacts>/<member>/report.json."""
        member, _, head = name.split("/")[1].rpartition("_")
        path = self.artifacts / member / "report.json" if self.artifacts else None
        return path if path and path.is_file() and head in list(Head) else None


@dataclass(frozen=True)
class Findings:
    """What an audit found.

    Attributes:
        problems: what is wrong, each as a sentence that begins with the file; empty when nothing is.
        reports: the reports that pages were held against, by their modules' handles.
    """

    problems: tuple[str, ...]
    reports: dict[str, Path]


# Files ----------------------------------------------------------------------------------------------------------------
def _files(hub: Hub) -> Iterator[str]:
    for name, entry in hub.index.entries.items():
        for file in entry.files:
            path = hub.folder / file.path
            if not path.is_file():
                yield f"{path}: missing, but index.json lists it for {name}; publish it again"
            elif path.stat().st_size != file.size:
                size = f"{path.stat().st_size:,} bytes, index.json says {file.size:,}"
                yield f"{path}: {size}; delete it and publish {name} again"
            elif (sha256 := sha256_of(path)) != file.sha256:
                text = f"sha256 {sha256}, index.json says {file.sha256}"
                yield f"{path}: {text}; delete it and publish {name} again"


def _unique(hub: Hub) -> Iterator[str]:
    """Finds the same bytes under two of a publisher's modules; versions of one module may be alike."""
    first: dict[tuple[str, str], str] = {}
    for name, entry in hub.index.modules.items():
        for file in entry.files:
            if not file.path.endswith(".tar.gz"):
                continue
            other = first.setdefault((entry.publisher, file.sha256), name)
            if other.split("/")[1] != entry.name:
                text = f"{name} and {other} are the same bytes (sha256 {file.sha256})"
                yield f"{hub.folder / 'index.json'}: {text}; one of them has another's model, publish it again"


def _contents(hub: Hub) -> Contents:
    contents: Contents = {}
    for name in hub.index.modules:
        # Of one that is missing or not whole _files() and _artifact() say so.
        with suppress(Fault, FileNotFoundError):
            contents[name] = tarball_files(hub.folder / f"{name}.tar.gz")
    return contents


def _weights(hub: Hub, contents: Contents) -> Iterator[str]:
    """Finds the same weights in two of a publisher's modules whose tarballs differ otherwise, in provenance for one."""
    first: dict[tuple[str, frozenset[str]], str] = {}
    for name, files in contents.items():
        publisher, module, _ = name.split("/")
        weights = frozenset(sha256 for path, sha256 in files if "variables/variables.data-" in path)
        other = first.setdefault((publisher, weights), name)
        if weights and other.split("/")[1] != module and contents[other] != files:
            text = f"{name} and {other} have the same weights (sha256 {', '.join(sorted(weights))})"
            yield f"{hub.folder / 'index.json'}: {text}; one of them has another's model, publish it again"


def _strangers(hub: Hub) -> Iterator[str]:
    known = hub.pages()
    for path in sorted(hub.folder.rglob("*.md")):
        if path.relative_to(hub.folder).as_posix() not in known:
            yield f"{path}: a page that index.json does not know; publish what it is of, or remove it"


# Pages ----------------------------------------------------------------------------------------------------------------
def _links(hub: Hub, path: Path, page: Page) -> Iterator[Problem]:
    root = hub.folder.resolve()
    for link in page.links():
        parts = urlsplit(link.text)
        if parts.scheme or not parts.path:
            continue
        target = (path.parent / unquote(parts.path)).resolve()
        if not target.is_relative_to(root):
            yield Problem(link.line, f"the link {link.text!r} leads out of the hub")
        elif not target.is_file():
            yield Problem(link.line, f"the link {link.text!r} is dead: there is no such file in the hub")


def _asset(page: Page, name: str) -> Iterator[Problem]:
    for tag in page.tags:
        if tag.key == "asset-path" and not tag.value.endswith(f"/{name}.tar.gz"):
            text = f"asset-path leads to {tag.value!r}, expected the tarball of {name}"
            yield Problem(tag.line, f"{text}, .../{name}.tar.gz; write the card again")


def output_of(found: Inspection) -> Output | None:
    """Returns what a SavedModel's serving_default returns, or None where its name does not say what it is."""
    signature = found.signatures.get("serving_default")
    for name, tensor in (signature.outputs if signature else {}).items():
        if name in ("logits", "features") and tensor.shape and tensor.shape[-1]:
            return Output(name, tensor.shape[-1])
    return None


def training_of(found: Inspection) -> Training:
    """Returns how many variables a SavedModel lets one train; without saved gradients none of them has one."""
    trainable = found.variables.trainable if found.variables else 0
    return Training(trainable, 0 if found.gradients is False else trainable)


def _artifact(hub: Hub, page: Page, name: str) -> Iterator[Problem]:
    """Holds a card against the published tarball itself, which knows nothing of reports or templates."""
    tarball = hub.folder / f"{name}.tar.gz"
    if tarball.is_file():
        found = inspect_saved_model(tarball)
        if output := output_of(found):
            yield from claims.task_problems(page, output)
        yield from claims.training_problems(page, training_of(found))
        line = next((tag.line for tag in page.tags if tag.key == "asset-path"), 1)
        for finding in file_faults(found.files):
            text = finding.text.removeprefix(f"{tarball}: ")
            yield Problem(line, f"the tarball that asset-path leads to is none for TF-Hub: {text}")


def _report_of(hub: Hub, contents: Contents, name: str) -> Report | None:
    """Returns the report of the same bytes as a module's, where there is one."""
    if not (path := hub.report_path(name)):
        return None
    report, head = load_report(path), Head(name.split("/")[1].rpartition("_")[2])
    packed = content_digest(iter(contents.get(name, [])))
    return report if packed == report.modules[head].content_sha256 else None


def _compared(hub: Hub, name: str, problems: Iterable[Problem]) -> Iterator[Problem]:
    """Adds to what a report contradicts which report that is: it may be of a later evaluation of the same bytes."""
    for problem in problems:
        text = f"{problem.text}; compared with {hub.report_path(name)}, ARTIFACTS= names another folder of reports"
        yield replace(problem, text=text)


def _module(hub: Hub, contents: Contents, page: Page, name: str) -> Iterator[Problem]:
    """Holds a card against the index, the tarball and its module's report; what two of them say is said once."""
    known = [*_asset(page, name), *_artifact(hub, page, name)]
    yield from known
    if report := _report_of(hub, contents, name):
        head = Head(name.rpartition("_")[2].split("/")[0])
        problems = claims.card_problems(page, report, head)
        yield from _compared(hub, name, (problem for problem in problems if problem not in known))


def _performance(hub: Hub, contents: Contents, path: Path, page: Page) -> Iterator[Problem]:
    """Holds a collection's table of performance against the reports of the modules that it links to."""
    for row in page.rows("Performance"):
        if link := re.search(r"\]\(([^)]+)\.md\)$", row.cells[0]):
            name = os.path.relpath((path.parent / link[1]).resolve(), hub.folder.resolve())
            if name in hub.index.modules and (report := _report_of(hub, contents, name)):
                yield from _compared(hub, name, claims.performance_problems(row, report))


def _page(hub: Hub, contents: Contents, path: Path, first: str) -> Iterator[Problem]:
    page = read_page(path)
    yield from tf_hub_rules.problems(page)
    if page.first != first:
        yield Problem(1, f"the first line is {page.first!r}, but in this place it must be {first!r}")
    yield from _links(hub, path, page)
    if first.startswith("# Module "):
        yield from _module(hub, contents, page, first.removeprefix("# Module "))
    elif first.startswith("# Collection "):
        yield from (*claims.collection_problems(page), *_performance(hub, contents, path, page))


def _pages(hub: Hub, contents: Contents) -> Iterator[str]:
    for name, first in hub.pages().items():
        path = hub.folder / name
        if not path.is_file():
            yield f"{path}: missing, expected the page that begins {first!r}; publish it again"
            continue
        try:
            refuse_problems(str(path), list(_page(hub, contents, path, first)))
        except Fault as fault:  # of this page or its tarball; the others are looked at, too
            yield str(fault)


def _reports(hub: Hub, contents: Contents) -> Iterator[tuple[str, Path]]:
    for name in sorted(hub.index.modules):
        with suppress(Fault):  # of one that cannot be read _pages() says so
            if (path := hub.report_path(name)) and _report_of(hub, contents, name):
                yield name, path


def audit(hub: Hub) -> Findings:
    """Reads all of a hub and returns what is wrong with it."""
    contents = _contents(hub)
    checks: Iterable[Iterator[str]] = (
        _files(hub), _unique(hub), _weights(hub, contents), _strangers(hub), _pages(hub, contents),
    )  # fmt: skip
    problems = tuple(problem for check in checks for problem in check)
    return Findings(problems, dict(_reports(hub, contents)))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def compared(hub: Hub, reports: dict[str, Path]) -> str:
    """Says which reports a hub's figures were compared with, and of which modules there was none to compare with."""
    used = {str(path) for path in reports.values()}
    text = f"figures compared with {list_names(sorted(used), 3)}" if used else "figures compared with no report"
    if without := hub.index.modules.keys() - reports.keys():
        names = list_names(sorted(without), 3)
        text += f"; {hub.artifacts} has none of the same bytes as {names} (ARTIFACTS= names another folder)"
    return text


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.audit", description="Says what is wrong with a hub.")
    parser.add_argument("hub", help="the hub: a folder")
    parser.add_argument("--artifacts", type=Path, help="the folder of all members' folders, for their reports")
    args = parser.parse_args(arguments)
    folder = hub_folder(args.hub)
    if args.artifacts and not args.artifacts.is_dir():
        raise Fault(f"ARTIFACTS={args.artifacts}: no such folder; expected the one that holds the members' reports")
    hub = Hub(folder, published_index(folder), args.artifacts)
    found = audit(hub)
    said = compared(hub, found.reports) if hub.artifacts else "figures compared with no report"
    if found.problems:
        raise Fault("\n".join([f"{_counted(len(found.problems), 'fault')} in {folder}; {said}", *found.problems]))
    counts = f"{_counted(len(hub.index.modules), 'module')}, {_counted(len(hub.index.collections), 'collection')}"
    return f"{folder}: {counts}, nothing wrong; {said}"


if __name__ == "__main__":
    raise SystemExit(command("audit", main))
