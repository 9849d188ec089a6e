"""What a section `model` and its architecture say, for report.json; without JAX."""

from dataclasses import asdict
from typing import Any

from pipeline.model.architecture import find_architecture
from pipeline.model.section import Model


def describe_model(model: Model) -> dict[str, Any]:
    """Returns the fields of pipeline.facts.report.ModelFacts that are known without the network."""
    architecture = find_architecture(model)
    words = {"family": architecture.title, "plural": architecture.plural, "tag": architecture.tag}
    words |= {"title": architecture.describe(model), "remark": architecture.remark(model)}
    return asdict(model) | words | {"features": architecture.describe_features(model)}
