"""The section of a card on further formats: what it says, and whether formats.json and the index say the same.

Speeds are not on cards: they are the publisher's machine's.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.plain_text import escape_markdown, link_target
from pipeline.base.templates import cosine, render
from pipeline.cards.figures import differences
from pipeline.cards.page import Page, Problem
from pipeline.facts.formats import REPORT, FormatName, FormatReport, Formats, load_formats
from pipeline.facts.report import Report

HEADING = "Other formats"
TEMPLATE = "formats.md.jinja"
_ROW = re.compile(r"^\| [^|]+ \| \[.*?\]\((?P<target>[^)]+)\), ")
_AGAIN = "publish the card again (make publish)"


# What the section says ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Row:
    """A published format on a card: its report, the target of its link, and its figures in words."""

    report: FormatReport
    target: str
    figures: str


@dataclass(frozen=True)
class Section:
    """What the section says of a module's formats.

    Attributes:
        rows: those with files.
        left_out: the others.
        runtimes: those that the files were run in, with their versions.
        sample: the images of every comparison with the module; "" where they are not the same, or there are none.
    """

    rows: tuple[Row, ...]
    left_out: tuple[FormatReport, ...]
    runtimes: tuple[str, ...]
    sample: str

    @property
    def plain(self) -> str:
        """The path of the plain module, below the folder of the version; "" where it is not published."""
        return self._first(FormatName.PLAIN)

    @property
    def litert(self) -> str:
        """Likewise that of the LiteRT file to try first, the smallest."""
        return self._first(FormatName.LITERT_INT8, FormatName.LITERT_FLOAT16, FormatName.LITERT)

    @property
    def onnx(self) -> str:
        """Likewise that of the ONNX file to try first, the one that runs everywhere."""
        return self._first(FormatName.ONNX, FormatName.ONNX_FP16, FormatName.ONNX_INT8)

    def _first(self, *names: FormatName) -> str:
        paths = {row.report.name: row.report.files[0].path for row in self.rows}
        return next((paths[name] for name in names if name in paths), "")


def section_of(formats: Sequence[FormatReport], files: str) -> Section:
    """Returns what the section says.

    Args:
        formats: of the module, published or left out.
        files: what the links to its files begin with, without a final slash.
    """
    published = [report for report in formats if report.files]
    samples = {_sample(report) for report in published if report.on_images}
    is_shared = len(samples) == 1
    return Section(
        rows=tuple(
            Row(report, f"{files}/{link_target(report.files[0].path)}", _describe(report, with_sample=not is_shared))
            for report in published
        ),
        left_out=tuple(report for report in formats if not report.files),
        runtimes=tuple(dict.fromkeys(f"{report.runtime} {report.version}" for report in published)),
        sample=samples.pop() if is_shared else "",
    )


def render_section(report: Report, head: Head, formats: Sequence[FormatReport], files: str) -> str:
    """Returns the section, Markdown; "" without any format. section_of() describes the arguments."""
    return render(TEMPLATE, report=report, head=head, formats=section_of(formats, files)) if formats else ""


def _sample(report: FormatReport) -> str:
    on = report.on_images
    return f"{on.images:,} images of {escape_markdown(on.of)}" if on else ""


def _describe(report: FormatReport, with_sample: bool) -> str:
    """Returns the figures of a format, with their limits and the module's."""
    on = report.on_images
    texts = [_against_jax(report)] if report.max_rel is not None or on is None else []
    if on:
        texts += _figures(None, on.cosine, on.same_class, on.top1)
        if on.top1 is not None and on.module_top1 is not None:
            texts[-1] += f" (module {_percent(on.module_top1)})"
        if with_sample:
            texts[-1] += f", on {_sample(report)}"
    return ", ".join(texts)


def _against_jax(report: FormatReport) -> str:
    """Returns the first check that has a figure: of a relative error, else of a cosine similarity."""
    rung = next((rung for rung in report.ladder if rung.value is not None), None)
    if rung is None or rung.value is None:
        return "not measured"
    if report.max_rel is None:
        limit = f" (at least {rung.tolerance:g})" if rung.tolerance is not None else ""
        return f"cosine similarity to the JAX model {cosine(rung.value)}{limit}"
    limits = [rung.tolerance for rung in report.ladder if rung.rung == "parity" and rung.tolerance is not None]
    return ", ".join(_figures(report.max_rel)) + (f" (limit {limits[0]:g})" if limits else "")


def _figures(
    max_rel: float | None,
    similarity: float | None = None,
    same_class: float | None = None,
    top1: float | None = None,
) -> list[str]:
    """Returns each figure that there is in words."""
    return [
        *([f"relative error {max_rel:.1e}"] if max_rel is not None else []),
        *([f"minimum cosine similarity {cosine(similarity)}"] if similarity is not None else []),
        *([f"same class for {_percent(same_class)}"] if same_class is not None else []),
        *([f"top-1 accuracy {_percent(top1)}"] if top1 is not None else []),
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


# Whether it is right --------------------------------------------------------------------------------------------------
def read_formats(path: Path, member: str, report: Report) -> Formats:
    """Reads the formats.json of a member, to be shown beside its report.

    Raises:
        Fault: where it is none, or of another member or of other SavedModels than the report.
    """
    formats = load_formats(path)
    if formats.member != member:
        expected = f"expected those of {member!r}; run make formats again"
        raise Fault(f"{path}: the formats of {formats.member!r}, {expected}")
    for head in formats.contents:
        formats.refuse_other_model(head, report.modules[head].content_sha256, path)
    return formats


def formats_beside(report_path: Path, report: Report, head: Head) -> tuple[FormatReport, ...] | None:
    """Returns a module's formats as the formats.json beside a report has them.

    None where there is none, or where they were made from another SavedModel than the report's.

    Raises:
        Fault: where the file is malformed.
    """
    path = report_path.with_name(REPORT)
    if not path.is_file():
        return None
    formats = load_formats(path)
    is_current = formats.contents.get(head) == report.modules[head].content_sha256
    return formats.modules.get(head, ()) if is_current else None


def formats_problems(page: Page, report: Report, head: Head, formats: Sequence[FormatReport]) -> list[Problem]:
    """Returns that a card has no section on its formats, or more than one, or where it differs from formats.json.

    Args:
        page: the card in a hub.
        report: of the member.
        head: which module it is.
        formats: of the module, as formats.json has them; none where it has no further format.
    """
    lines = [piece.line for piece in page.headings() if piece.text == HEADING]
    if len(lines) != bool(formats):
        text = f"expected {'one section' if formats else 'no section'} {HEADING!r}, got {len(lines)}"
        repair = f"correct the YAML file whose text changes the sections, or {_AGAIN}"
        return [Problem(lines[-1] if lines else len(page.lines), f"{text}; {repair}")]
    section = page.section(HEADING)
    actual = page.lines[section.start - 1 : section.stop - 1]
    expected = render_section(report, head, formats, page.handle.rpartition("/")[2]).strip("\n").split("\n")
    found = differences(section.start, actual, expected, REPORT) if formats else ()
    return [Problem(difference.line, f"{difference.text}; {_AGAIN}") for difference in found]


class Listed(Protocol):
    """A format as an entry of the index lists it; None for a figure that it does not have."""

    @property
    def files(self) -> tuple[str, ...]: ...
    @property
    def max_rel(self) -> float | None: ...
    @property
    def cosine(self) -> float | None: ...
    @property
    def same_class(self) -> float | None: ...
    @property
    def top1(self) -> float | None: ...


def listed_problems(page: Page, listed: Iterable[Listed]) -> Iterator[Problem]:
    """Yields the rows of a card whose file the index does not list as a format, or lists with another figure.

    Args:
        page: the card in a hub.
        listed: the formats of the version, as its entry in the index has them.
    """
    by_file = {path: format_ for format_ in listed for path in format_.files}
    folder = page.handle.rpartition("/")[0]
    for line in page.section(HEADING):
        if not (row := _ROW.match(page.lines[line - 1])):
            continue
        path = f"{folder}/{row['target']}"
        if path not in by_file:
            yield Problem(line, f"the index lists no format with the file {path}; {_AGAIN}")
            continue
        entry = by_file[path]
        for text in _figures(entry.max_rel, entry.cosine, entry.same_class, entry.top1):
            if text not in page.lines[line - 1]:
                yield Problem(line, f"expected {text!r}, as the index has of {path}; {_AGAIN}")
