"""What the page of a collection shows between the table of its figures and its prose: plots of its models."""

from collections.abc import Collection

from pipeline.hub.models import Model

PROSE = "Overview"  # the heading with which the prose begins, after the table
MOST_COMPARED = 4  # models in a comparison, as templates/site/compare.js shows


def select_models(models: Collection[Model], handles: Collection[str]) -> tuple[Model, ...]:
    """Returns the models of which a collection's page links to a module, whatever the version."""
    names = {handle.rpartition("/")[0] for handle in handles}
    return tuple(
        model for model in models if any(f"{entry.publisher}/{entry.name}" in names for entry in model.entries)
    )
