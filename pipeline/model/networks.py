"""Opens the network of a model."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.model import architectures
from pipeline.model.section import Model

if TYPE_CHECKING:
    from pipeline.model.network import Network

# What open_network() imports by name, for pipeline.base.stage_code.
IMPORTS_BY_NAME = ("model/*/network.py",)


def open_network(model: Model, folder: Path) -> "Network":
    """Returns the network of a model; imports JAX.

    Args:
        model: the section.
        folder: that of the member's YAML file, which may hold a network of one's own.
    """
    del folder
    network: Network = architectures.find_part(model.architecture, "network").open_network(model)
    return network
