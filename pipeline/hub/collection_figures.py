"""What the page of a collection shows before its prose: the table of its figures, and plots of its models."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from pipeline.hub.markdown import Document
from pipeline.hub.models import Model

TABLE = "Performance"  # the heading of the table, which the Markdown page has first
MOST_COMPARED = 4  # models in a comparison, as templates/site/compare.js shows


@dataclass(frozen=True)
class Parts:
    """A page in two parts.

    Attributes:
        figures: the section with the table, HTML; "" for a page that does not begin with it, such as an older one.
        card: the page without it.
    """

    figures: str
    card: Document


def split_figures(card: Document) -> Parts:
    """Separates the table of figures from the prose."""
    sections = [heading for heading in card.headings if heading.level == 2]
    if len(sections) < 2 or sections[0].text != TABLE:
        return Parts("", card)
    figures, start, prose = card.body.partition(f'<h2 id="{sections[1].id}">')
    return Parts(figures, replace(card, body=start + prose))


def select_models(models: Collection[Model], handles: Collection[str]) -> tuple[Model, ...]:
    """Returns the models of which a collection's page links to a module, whatever the version."""
    names = {handle.rpartition("/")[0] for handle in handles}
    return tuple(
        model for model in models if any(f"{entry.publisher}/{entry.name}" in names for entry in model.entries)
    )
