"""What a section `model` and its architecture say, for report.json; without JAX."""

from dataclasses import asdict
from typing import Any

from pipeline.model.architecture import Architecture, find_architecture
from pipeline.model.section import Model


def describe_model(model: Model, architecture: Architecture | None = None) -> dict[str, Any]:
    """Returns the fields of pipeline.facts.report.ModelFacts that are known without running the network.

    Args:
        model: the section.
        architecture: that of the open network, which has the words of a network of one's own; None: of the section.
    """
    architecture = architecture or find_architecture(model)
    words = {"family": architecture.title, "plural": architecture.plural, "tag": architecture.tag}
    words |= {"title": architecture.describe(model), "remark": architecture.remark(model)}
    return asdict(model) | words | {"features": architecture.describe_features(model)}
