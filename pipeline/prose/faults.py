"""Finds the texts of YAML files that break a rule for pages, by trying all pages with stand-ins for the figures.

The pages and the rules are those of card, collection and publish, so no rule is known to them alone. A problem of a
page is traced to its text by leaving out half of the texts, then half of those: the one without which the problem is
gone is named with file and line.
"""

import itertools
import time
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.yaml_sections import YamlFile
from pipeline.cards import tf_hub_rules
from pipeline.cards.agreement import Models, text_problems
from pipeline.cards.collection_page import ListedMember, check_collection, list_member, render_collection
from pipeline.cards.member_files import CardFile, member_files
from pipeline.cards.page import Problem
from pipeline.cards.record import CardFacts, records
from pipeline.facts.collection import Collection
from pipeline.hub.entries import CollectionEntry, ModuleEntry
from pipeline.hub.new_entries import module_entry
from pipeline.hub.publisher_page import render_publisher
from pipeline.model.architecture import find_architecture
from pipeline.prose.agreement import disagreements
from pipeline.prose.fields import Field, MemberTexts, fields_of
from pipeline.prose.markdown import form_problems, relative_links
from pipeline.prose.stand_in import stand_in_report

_SHOWN = 5  # problems of one text: more are mostly consequences
_TRACED = 10  # problems of pages
_PATIENCE = 4.0  # seconds of CPU for tracing, which needs 12 renderings of a page for a problem of a usual collection


@dataclass(frozen=True)
class Finding:
    """A problem of a page: the page, and the text of the line, "" where the problem is of the whole page."""

    page: str
    line: str


@dataclass(frozen=True)
class Others:
    """Other members of a collection, which its page lists.

    Attributes:
        texts: of them.
        are_all: whether they are all; if not, the page that is tried counts fewer models than the collection has.
    """

    texts: Sequence[MemberTexts] = ()
    are_all: bool = True


@dataclass(frozen=True)
class Sources:
    """The files of a member's texts: its YAML file and collection.yaml, and the setting HUB_URL if it is given."""

    member: YamlFile
    collection: YamlFile
    hub_url: str | None = None

    def place(self, field: Field, line_of_text: int = 1) -> str:
        """Returns where a text stands, and what it is called, for messages."""
        if field.path == ("hub_url",) and self.hub_url:
            return f"HUB_URL={self.hub_url}"
        file = self.collection if field.is_of_collection else self.member
        return f"{file.path}:{file.line_of(field.yaml_path, line_of_text)}: {field.name}"


def text_faults(texts: MemberTexts, others: Others, sources: Sources) -> list[str]:
    """Returns what is wrong with the texts of a member and its collection, a sentence each.

    Args:
        texts: of the member.
        others: the other members of its collection, at least one of each model.
        sources: where they stand.
    """
    faults = []
    for field in fields_of(texts):
        if problems := list(itertools.islice(_own_problems(field, texts, others), _SHOWN)):
            faults += [f"{sources.place(field, problem.line)}: {problem.text}" for problem in problems]
            texts = field.without(texts)  # its problems on pages would be consequences
    fields = {field.path: field for field in fields_of(texts)}
    for disagreement in list(disagreements(texts)):
        field, other = disagreement.field, sources.place(disagreement.other)
        faults.append(f"{sources.place(field)}: {disagreement.text} ({other}); {disagreement.to_do}")
        texts = fields[field.path].without(texts) if field.path in fields else texts
    findings = find_problems(texts, others)
    return faults + (list(_trace(findings, texts, others, sources)) if findings else [])


def _own_problems(field: Field, texts: MemberTexts, others: Others) -> Iterator[Problem]:
    """Yields what a text shows to be wrong by itself: its form, or a statement unlike the models that it is about."""
    text = field.get(texts) or ""
    if len(text) > field.limit:
        yield Problem(1, f"{len(text):,} characters, expected at most {field.limit:,}; shorten it")
        return
    if field.is_markdown:
        yield from form_problems(text)
    if field.path == ("module", "note"):
        yield from relative_links(text)
    if field.is_prose:
        members = (texts, *others.texts) if field.is_of_collection else (texts,)
        models = Models(
            sizes=frozenset(member.model.image_size for member in members),
            variants=frozenset(member.model.variant for member in members),
            families=frozenset(find_architecture(member.model).tag for member in members),
            dataset=texts.collection.dataset_name,
            license=texts.collection.license,
        )
        yield from text_problems(text, models)


def _trace(findings: dict[str, Finding], texts: MemberTexts, others: Others, sources: Sources) -> Iterator[str]:
    """Yields the problems with the texts that they come from, see the module; the rest with their pages."""
    traced = dict(itertools.islice(findings.items(), _TRACED))
    fields = list(fields_of(texts))
    causes = _find_causes(traced, fields, partial(_remaining, texts, others, time.process_time() + _PATIENCE))
    for field in fields:
        for problem in [problem for problem in traced if causes.get(problem) == field][:_SHOWN]:
            yield f"{sources.place(field, _line_in(field.get(texts), findings[problem].line))}: {problem}"
    for problem, finding in traced.items():
        if problem not in causes:
            yield f"{sources.member.path}: {problem} (on its page {finding.page})"
    if len(findings) > _TRACED:
        yield f"{sources.member.path}: {len(findings) - _TRACED:,} more problems of its pages"


def _find_causes(
    findings: dict[str, Finding],
    fields: Sequence[Field],
    remaining: Callable[[Sequence[Field], dict[str, Finding]], Container[str]],
) -> dict[str, Field]:
    """Returns the first of the texts without which each problem is gone; it lacks those that none of them causes.

    Args:
        findings: the problems.
        fields: the texts, at least one.
        remaining: returns which problems there still are without some texts.
    """
    still = remaining(fields, findings)
    gone = {problem: finding for problem, finding in findings.items() if problem not in still}
    if len(fields) == 1 or not gone:
        return dict.fromkeys(gone, fields[0])
    half = len(fields) // 2
    causes = _find_causes(gone, fields[:half], remaining)
    rest = {problem: finding for problem, finding in gone.items() if problem not in causes}
    return causes | _find_causes(rest, fields[half:], remaining) if rest else causes


def _remaining(
    texts: MemberTexts,
    others: Others,
    until: float,
    fields: Sequence[Field],
    findings: dict[str, Finding],
) -> Container[str]:
    """Returns the problems of the findings' pages without some texts; all of them when the time is over."""
    if time.process_time() > until:
        return findings
    for field in fields:
        texts = field.without(texts)
    return find_problems(texts, others, {finding.page for finding in findings.values()})


def _line_in(text: object, line: str) -> int:
    """Returns which line of a text is on a line of a page, from 1; the first where that cannot be told."""
    lines = [part.strip() for part in str(text).split("\n")]
    return 1 + lines.index(line.strip()) if line.strip() in lines else 1


def find_problems(texts: MemberTexts, others: Others, pages: Container[str] | None = None) -> dict[str, Finding]:
    """Returns the problems of all pages, each where it is found first; what was got, and the head, are not compared."""
    findings: dict[str, Finding] = {}
    beginnings: set[str] = set()
    for file in _pages(texts, others):
        if pages is not None and str(file.path) not in pages:
            continue
        try:
            file.check()
        except Fault as fault:
            lines = file.text.split("\n")
            for message in str(fault).split("\n"):
                line, problem = _split(message, file.path, lines)
                beginning = problem.split(", got ")[0].replace(f"_{Head.FE}/", f"_{Head.CLASSIFICATION}/")
                if beginning not in beginnings:
                    beginnings.add(beginning)
                    findings[problem] = Finding(str(file.path), line)
    return findings


def _split(message: str, path: Path, lines: Sequence[str]) -> tuple[str, str]:
    """Returns the line of a page that a message names, and the message without file and line."""
    rest = message.removeprefix(f"{path}:")
    number, _, problem = rest.partition(": ")
    return (lines[int(number) - 1], problem) if number.isdecimal() else ("", rest.strip())


def _pages(texts: MemberTexts, others: Others) -> Iterator[CardFile]:
    """Yields every page of a member, its collection and its publisher."""
    facts = CardFacts(texts.name, texts.module, texts.collection, texts.hub_url, texts.checkpoint_name)
    for is_measured in (True, False):
        report = stand_in_report(texts.model, texts.evaluation, texts.labels, is_measured)
        yield from member_files(records(facts, report), Path(), has_figures=False)
    listed = [_listed(member) for member in (texts, *others.texts)]
    yield _collection_page(texts.collection, listed, others.are_all)
    render = partial(_publisher_page, facts, texts)
    yield CardFile(Path("publisher.md"), render, partial(tf_hub_rules.check, where="publisher.md"))


def _collection_page(collection: Collection, members: Sequence[ListedMember], are_all: bool) -> CardFile:
    check = partial(
        check_collection,
        collection=collection,
        reports=[member.report for member in members],
        where="page.md",
        has_figures=False,
        lists_all=are_all,
    )
    return CardFile(Path("page.md"), partial(render_collection, collection, members), check)


def _publisher_page(facts: CardFacts, texts: MemberTexts) -> str:
    return render_publisher(texts.collection.publisher, _entries(facts, texts), _collections(texts))


def _listed(member: MemberTexts) -> ListedMember:
    report = stand_in_report(member.model, member.evaluation, member.labels, is_measured=True)
    return list_member(member.collection, member.name, member.module, report)


def _entries(facts: CardFacts, texts: MemberTexts) -> list[ModuleEntry]:
    report = stand_in_report(texts.model, texts.evaluation, texts.labels, is_measured=True)
    return [module_entry(facts.handle(head), head, texts.module, texts.collection, report, ()) for head in Head]


def _collections(texts: MemberTexts) -> list[CollectionEntry]:
    return [CollectionEntry(f"{texts.collection.publisher.id}/collections/{texts.collection.name}/1", ())]
