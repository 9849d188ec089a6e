"""Compares the files of a hub with its index: what is missing, damaged, published twice or not listed."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.base.fault import Fault, show_name
from pipeline.base.files import content_digest, sha256_of
from pipeline.base.text import read_generated
from pipeline.cards import tf_hub_rules
from pipeline.cards.agreement import Models, title_problems
from pipeline.cards.page import (
    LARGEST_COLLECTION_PAGE,
    LARGEST_PAGE,
    Page,
    Problem,
    parse_page,
    refuse_problems,
)
from pipeline.hub import svg
from pipeline.hub.aliases import LATEST
from pipeline.hub.index import Index
from pipeline.hub.overview import Overview
from pipeline.hub.published_formats import is_format_file
from pipeline.hub.publisher_page import LARGEST, split_page, without_modules


def first_lines(index: Index) -> dict[str, str]:
    """Returns the first line that each page of a hub must have, by the page's path."""
    modules = {f"{handle}.md": f"# Module {handle}" for handle in index.modules}
    collections = {
        f"{address}.md": f"# Collection {entry.publisher}/{entry.name}/1"
        for address, entry in index.collections.items()
    }
    publishers = {f"{name}/{name}.md": f"# Publisher {name}" for name in index.publishers}
    return modules | collections | publishers


def found_pages(folder: Path) -> dict[str, str]:
    """Returns the first line that each page of a hub must have by its place alone, for an index that is damaged."""
    lines = {}
    for path in folder.rglob("*.md"):
        match path.relative_to(folder).with_suffix("").parts:
            case (publisher, name) if publisher == name:
                lines[f"{name}/{name}.md"] = f"# Publisher {name}"
            case (publisher, module, version) if version.isdecimal():
                lines[f"{publisher}/{module}/{version}.md"] = f"# Module {publisher}/{module}/{version}"
            case (publisher, "collections", name, "1"):
                lines[f"{publisher}/collections/{name}/1.md"] = f"# Collection {publisher}/{name}/1"
    return lines


def damaged_files(folder: Path, index: Index) -> Iterator[str]:
    """Yields the listed files that are missing or have another size or digest than index.json says."""
    for name, entry in index.entries.items():
        for file in entry.files:
            path = folder / file.path
            if not path.is_file():
                yield f"{path}: missing, but index.json lists it for {name}; publish it again"
            elif (size := path.stat().st_size) != file.size:
                text = f"{size:,} bytes, index.json says {file.size:,}"
                yield f"{path}: {text}; delete it and publish {name} again"
            elif (sha256 := sha256_of(path)) != file.sha256:
                text = f"sha256 {sha256}, index.json says {file.sha256}"
                yield f"{path}: {text}; delete it and publish {name} again"


def private_files(folder: Path) -> Iterator[str]:
    """Yields a sentence where the hub has files or folders that nobody but their owner may read."""
    count, example = 0, ""
    for path in (str(folder), *_walk(folder)):
        mode = _mode(path) if path == str(folder) or not os.path.basename(path).startswith(".") else None  # noqa: PTH119
        if mode is not None and not mode & 0o044:
            count, example = count + 1, example or path
    if count:
        yield (
            f"{folder}: only their owner may read {count:,} of its files and folders, {example} for one, so a"
            f" web server of another user cannot serve them; run chmod -R a+rX {folder}"
        )


def _walk(folder: Path) -> Iterator[str]:
    """Yields the paths of all that is in a folder and in those below it; of links only the links."""
    for parent, folders, files in os.walk(folder):
        yield from (f"{parent}/{name}" for name in (*folders, *files))


def _mode(path: str) -> int | None:
    """Returns the permissions of a file or folder; None for a link that leads to nothing."""
    try:
        return os.stat(path).st_mode  # noqa: PTH116 (of each file of a hub: a Path takes three times as long)
    except OSError:
        return None


def dead_files(folder: Path) -> Iterator[str]:
    """Yields the links in a hub's folder that lead to nothing."""
    links = (path for path in _walk(folder) if os.path.islink(path))  # noqa: PTH114 (as in _mode())
    for path in sorted(path for path in links if _mode(path) is None):
        yield f"{path}: a link that leads to nothing; remove it"


def unlisted_pages(folder: Path, index: Index) -> Iterator[str]:
    """Yields the Markdown files that index.json does not list."""
    listed = _listed_files(index)
    for path in sorted(folder.rglob("*.md")):
        if path.relative_to(folder).as_posix() not in listed:
            yield _unlisted(path)


def _listed_files(index: Index) -> set[str]:
    files = [file for entry in index.entries.values() for file in entry.files]
    return {*first_lines(index), *(file.path for file in files), *(file.page for file in files)}


def _unlisted(path: Path) -> str:
    return f"{path}: a page that index.json does not list; publish its module or collection, or remove it"


def unlisted_pages_of(folder: Path, index: Index) -> Iterator[tuple[str, str]]:
    """Yields the unlisted Markdown files in the folders of some modules, each with its path in the hub."""
    listed = _listed_files(index)
    for name in {handle.rpartition("/")[0]: None for handle in index.modules}:
        for path in (folder / name).rglob("*.md"):
            if (place := path.relative_to(folder).as_posix()) not in listed:
                yield place, _unlisted(path)


def unlisted_pages_elsewhere(folder: Path, overview: Overview) -> Iterator[tuple[str, str]]:
    """Yields the unlisted Markdown files in all other folders of a hub, each with its path in the hub."""
    names = {handle.rpartition("/")[0] for handle in overview.modules}
    listed = _listed_files(Index({}, dict(overview.collections), {}))
    listed |= {f"{publisher}/{publisher}.md" for publisher in overview.publishers}
    for path in _walk(folder):
        place = path.removeprefix(f"{folder}/")
        is_of_module = place.count("/") > 1 and "/".join(place.split("/", 2)[:2]) in names
        if place.endswith(".md") and not is_of_module and place not in listed:
            yield place, _unlisted(folder / place)


def wrong_formats(folder: Path, index: Index) -> Iterator[str]:
    """Yields the files of formats that index.json does not list as files, and those that belong to no format."""
    for handle, entry in index.modules.items():
        listed = {file.path for file in entry.files}
        named = {path for published in entry.formats for path in published.files}
        for published in entry.formats:
            for path in published.files:
                if path not in listed:
                    text = f"the format {published.name} of {handle} has the file {path}, which is not in its files"
                    yield f"{folder / 'index.json'}: {text}; publish it again"
        there = (path.relative_to(folder).as_posix() for path in (folder / handle).rglob("*") if path.is_file())
        for path in sorted({*listed, *there} - named):
            if is_format_file(path.removeprefix(f"{handle}/")):
                text = f"a file of a format, but index.json names it for no format of {handle}"
                yield f"{folder / path}: {text}; publish it again, or remove it"


def unsafe_pictures(folder: Path) -> Iterator[str]:
    """Yields the SVG files, listed or not, that have what no plot has: a browser may run them."""
    for path in map(Path, sorted(path for path in _walk(folder) if path.lower().endswith((".svg", ".svgz")))):
        if not path.is_file():
            continue
        try:
            problem = svg.find_problem(read_generated(path, "publish its module again, or remove it"))
        except Fault as fault:
            yield str(fault)
        else:
            if problem:
                yield f"{path}: {show_name(problem)}; a browser may run it: publish its module again, or remove it"


def equal_tarballs(folder: Path, index: Index) -> Iterator[str]:
    """Yields the modules of a publisher that have the same bytes; versions of one module may be equal."""
    yield from _equal_tarballs(folder, ((handle, entry.tarball.sha256) for handle, entry in index.modules.items()))


def equal_listed_tarballs(folder: Path, overview: Overview) -> Iterator[str]:
    """Yields what equal_tarballs() does."""
    yield from _equal_tarballs(folder, ((handle, module.sha256) for handle, module in overview.modules.items()))


def _equal_tarballs(folder: Path, tarballs: Iterable[tuple[str, str]]) -> Iterator[str]:
    first: dict[tuple[str, str], str] = {}
    for handle, sha256 in tarballs:
        other = first.setdefault((handle.partition("/")[0], sha256), handle)
        if other.rpartition("/")[0] != handle.rpartition("/")[0]:
            text = f"{handle} and {other} are the same bytes (sha256 {sha256})"
            yield f"{folder / 'index.json'}: {text}; one of them has another's model, publish it again"


@dataclass(frozen=True)
class Weights:
    """What the tarball of a module holds: the digests of its variables in words, and that of all of its files."""

    variables: str
    content: str


def read_weights(files: Sequence[tuple[str, str]]) -> Weights | None:
    """Returns the weights of a tarball with these files, by their paths and SHA-256; None for one without any."""
    variables = sorted({sha256 for path, sha256 in files if "variables/variables.data-" in path})
    return Weights(", ".join(variables), content_digest(repr(files).encode())) if variables else None


def equal_weights(folder: Path, weights: Mapping[str, Weights]) -> Iterator[str]:
    """Yields the modules of a publisher with the same weights whose tarballs differ in other files.

    A member that fetched another's checkpoint differs from it in provenance.json alone.

    Args:
        folder: of the hub.
        weights: of each module that has some, by handle.
    """
    first: dict[tuple[str, str], str] = {}
    for handle, own in sorted(weights.items()):
        other = first.setdefault((handle.partition("/")[0], own.variables), handle)
        is_same_module = other.rpartition("/")[0] == handle.rpartition("/")[0]
        if not is_same_module and weights[other].content != own.content:
            text = f"{handle} and {other} have the same weights (sha256 {own.variables})"
            yield f"{folder / 'index.json'}: {text}; one of them has another's model, publish it again"


def unverified_quotes(folder: Path, index: Index) -> Iterator[str]:
    """Yields the modules for which index.json quotes an accuracy, though their weights are not known to be verified."""
    for handle, entry in index.modules.items():
        if entry.quoted and not (entry.weights and entry.weights.is_verified):
            text = f"{handle} has a quoted accuracy, and its weights are not known to be the ones that it is about"
            yield f"{folder / 'index.json'}: {text}; publish it again (make publish)"


def wrong_statuses(folder: Path, index: Index) -> Iterator[str]:
    """Yields the versions whose status disagrees with their facts."""
    for handle, entry in index.modules.items():
        reasons = " and ".join(missing.reason for missing in entry.missing)
        if entry.is_released and reasons:
            text = f"{handle} is listed as released, but it is a draft: {reasons}"
            yield f"{folder / 'index.json'}: {text}; publish it again (make publish)"
        elif not entry.is_released and not reasons:
            text = f"{handle} is listed as a draft, but its facts are those of a released version"
            yield f"{folder / 'index.json'}: {text}; publish it again (make publish)"


def wrong_aliases(folder: Path, index: Index) -> Iterator[str]:
    """Yields the aliases "latest" that lead elsewhere than to the latest version."""
    for name, written in index.document.get("aliases", {}).items():
        latest = index.aliases.get(name, {}).get(LATEST)
        if written.get(LATEST) != latest:
            text = f"the alias latest of {show_name(name)} is {written.get(LATEST)}, expected {latest or 'none'}"
            yield f"{folder / 'index.json'}: {text}; publish the module again (make publish)"


def dead_successors(folder: Path, index: Index) -> Iterator[str]:
    """Yields the deprecated versions whose successor is not in the hub, or is yanked itself."""
    return find_dead_successors(folder, index, lambda handle: _is_yanked(index, handle))


def _is_yanked(index: Index, handle: str) -> bool | None:
    entry = index.modules.get(handle)
    return entry.yanked is not None if entry else None


def find_dead_successors(folder: Path, index: Index, is_yanked: Callable[[str], bool | None]) -> Iterator[str]:
    """Yields what dead_successors() does; `is_yanked` tells of any version of the hub, None where there is none."""
    for handle, entry in index.modules.items():
        if entry.deprecated is None:
            continue
        state = is_yanked(entry.deprecated.successor)
        if state is not False:
            what = "yanked itself" if state else "not in the hub"
            text = f"{handle} is deprecated for {entry.deprecated.successor}, which is {what}"
            yield f"{folder / 'index.json'}: {text}; name another one (make deprecate MODULE={handle} FOR=...)"


def wrong_titles(folder: Path, index: Index) -> Iterator[str]:
    """Yields the titles that name another architecture, size or data set than their entry has."""
    for handle, entry in index.modules.items():
        models = Models(
            sizes=frozenset({entry.image_size} if entry.image_size else ()),
            variants=frozenset({entry.variant} if entry.variant else ()),
            families=frozenset({entry.architecture} if entry.architecture else ()),
            dataset=entry.dataset or "",
        )
        for problem in title_problems(entry.title, models):
            yield f"{folder / 'index.json'}: the title of {handle}: {problem}; correct it and publish it again"


def check_pages(
    folder: Path, first_lines: Mapping[str, str], check: Callable[[Path, str], Iterable[Problem]]
) -> Iterator[str]:
    """Yields what is wrong with pages of a hub, each in one text of several lines.

    Args:
        folder: of the hub.
        first_lines: the first line that each page must have, by its path.
        check: returns the problems of a page that is there, by its path and first line; a Fault is reported, too.
    """
    for name, first in first_lines.items():
        path = folder / name
        if not path.is_file():
            yield f"{path}: missing, expected the page that begins {first!r}; publish it again"
            continue
        try:
            refuse_problems(str(path), list(check(path, first)))
        except Fault as fault:  # of this page or its tarball; the others are checked, too
            yield str(fault)


def largest_page(first: str) -> int:
    """Returns the most bytes that a page may have, by its first line; a publisher's is read in pieces instead."""
    return LARGEST_COLLECTION_PAGE if first.startswith("# Collection ") else LARGEST_PAGE


def publisher_page_problems(folder: Path, path: Path, first: str) -> Iterator[Problem]:
    """Yields what is wrong with a publisher's page, whose list of modules may be of any length."""
    pieces = split_page(read_generated(path, "expected a page in Markdown; publish it again", LARGEST), str(path))
    head = len(without_modules(pieces[0][0], str(path)).splitlines())
    for number, (text, missing) in enumerate(pieces):
        for problem in page_problems(folder, path, parse_page(text), first):
            if problem.line > head:
                yield replace(problem, line=problem.line + missing)
            elif number == 0:
                yield problem


def page_problems(folder: Path, path: Path, page: Page, first: str) -> Iterator[Problem]:
    """Yields what is wrong with any page of a hub: TF-Hub's rules, its first line, dead links."""
    yield from tf_hub_rules.problems(page)
    if page.first != first:
        yield Problem(1, f"the first line is {page.first!r}, but in this place it must be {first!r}")
    yield from dead_links(folder, path, page)


def dead_links(folder: Path, path: Path, page: Page) -> Iterator[Problem]:
    """Yields the relative links of a page that lead to no file, or out of the hub."""
    root = folder.resolve()
    for link in page.links():
        parts = urlsplit(link.text)
        if parts.scheme or not parts.path:
            continue
        target = os.path.realpath(path.parent / unquote(parts.path).replace("\0", "%00"))
        if not Path(target).is_relative_to(root):
            yield Problem(link.line, f"the link {link.text!r} leads out of the hub")
        elif not os.path.isfile(target):  # noqa: PTH113 (Path.is_file() raises OSError for a long name)
            yield Problem(link.line, f"the link {link.text!r} is dead: there is no such file in the hub")
