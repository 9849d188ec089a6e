"""The page of a collection, from the facts and reports of its members."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.base.heads import Head
from pipeline.base.templates import render
from pipeline.cards import agreement, claims, counts, tf_hub_rules
from pipeline.cards.page import LARGEST_COLLECTION_PAGE, parse_page, refuse_problems, size_problems
from pipeline.facts.collection import Collection, Module, handle
from pipeline.facts.report import Report

_SHORTEN = "move some of its members to another collection, or shorten its texts"


@dataclass(frozen=True)
class ListedMember:
    """A member of the collection: its name, its section `module`, its report, and links to its modules' pages."""

    name: str
    module: Module
    report: Report
    links: dict[Head, str]

    @property
    def rank(self) -> tuple[bool, int, str]:
        """Its place in the lists: variants that need no remark first, small before large."""
        weights = self.report.modules[Head.CLASSIFICATION].weights
        return bool(self.report.model.remark), weights.parameters, self.name


def list_member(collection: Collection, name: str, module: Module, report: Report) -> ListedMember:
    """Returns a member as the page of its collection lists it."""
    handles = {head: handle(collection, name, head, module.version) for head in Head}
    # From <publisher>/collections/<name>/1.md the modules are two folders up.
    links = {head: f"../../{path.split('/', 1)[1]}.md" for head, path in handles.items()}
    return ListedMember(name, module, report, links)


def render_collection(collection: Collection, members: Iterable[ListedMember]) -> str:
    """Returns the page."""
    ranked = sorted(members, key=lambda member: member.rank)
    return render("collection.md.jinja", collection=collection, members=ranked)


def check_collection(
    text: str,
    collection: Collection,
    reports: Sequence[Report],
    where: str,
    has_figures: bool = True,
    lists_all: bool = True,
) -> None:
    """Refuses a page that breaks TF-Hub's rules, has counts unlike its list, or contradicts the models that it lists.

    Args:
        text: the page.
        collection: its facts.
        reports: of its members.
        where: the page's name in messages.
        has_figures: whether the reports' figures were measured; false for a stand-in's.
        lists_all: whether the page lists all members; the counts of one that is tried with fewer are not compared.

    Raises:
        Fault: names `where` and the lines.
    """
    page = parse_page(text)
    families = {report.model.family for report in reports}
    models = agreement.models_of(reports, collection.dataset_name, collection.license, has_figures)
    problems = [*size_problems(page, LARGEST_COLLECTION_PAGE, _SHORTEN), *tf_hub_rules.problems(page)]
    problems += counts.collection_problems(page, families, lists_all)
    problems += agreement.page_problems(page, models)
    for report in reports if has_figures else ():
        problems += claims.prose_quote_problems(page, report)
    refuse_problems(where, problems)
