"""Opens the network of a model."""

import sys
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
        folder: that of the member's YAML file. A network of one's own is a Python file there, which runs now.

    Raises:
        Fault: when there is no such file, or its class is not a network.
    """
    network: Network = architectures.find_part(model.architecture, "network").open_network(model, folder)
    return network


def announce(stage: str, model: Model, folder: Path) -> None:
    """Says on stderr which Python file of a member's folder a stage is about to run, if any."""
    if architectures.is_own(model.architecture):
        file = model.architecture.partition(":")[0]
        print(f"{stage}: runs {file}, a Python file of {folder}, with your rights", file=sys.stderr, flush=True)
