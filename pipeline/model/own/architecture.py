"""What is known of a network of one's own before its file has run; see pipeline.model.architecture."""

from dataclasses import dataclass

from pipeline.base.fault import Fault
from pipeline.model.architecture import Architecture
from pipeline.model.section import Model


@dataclass(frozen=True)
class OwnArchitecture(Architecture):
    """The words of a network of one's own; these, unless its class has others."""

    name: str = "own"
    title: str = "Neural Network"
    plural: str = "Neural Networks"
    tag: str = "other"

    def check(self, model: Model) -> None:
        """Refuses a variant that cannot stand in a sentence; the class knows which options and sizes it takes."""
        if not model.variant.strip() or not model.variant.isprintable() or len(model.variant) > 100:
            raise Fault(f"variant must be a name of 1 to 100 printable characters, got {model.variant!r}")


ARCHITECTURE = OwnArchitecture()
