"""What can be wrong with a SavedModel as a published module."""

from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """The kinds of faults that pipeline.doctor reports; programs that read its JSON rely on these words."""

    TENSORFLOW = "tensorflow"  # an XlaCallModule node needs a newer TensorFlow than 2.14, the oldest supported
    PLATFORMS = "platforms"  # an XlaCallModule node is not lowered for all of cpu, cuda and tpu
    EFFECTS = "effects"  # a StableHLO module has side effects, which calling convention 8 cannot order
    CUSTOM_CALLS = "custom_calls"  # a StableHLO module calls functions that TensorFlow does not have
    MODULE = "module"  # a StableHLO module cannot be parsed
    GRADIENTS = "gradients"  # there are trainable variables, but the gradients of XlaCallModule nodes are not saved
    DEBUG_INFO = "debug_info"  # a StableHLO module says where in its author's program its operations come from
    PATHS = "paths"  # saved_model.pb contains names of files or folders of its author's machine
    ATTRIBUTES = "attributes"  # an attribute has no value, which TensorFlow's C++ loader (Serving, C, Java, v1) refuses
    SIGNATURE = "signature"  # there is no signature serving_default
    VARIABLES = "variables"  # there are variables, but no variables/variables.index
    FILES = "files"  # a file, folder, link or name that TF-Hub does not allow, or saved_model.pb is not at the root
    ORDER = "order"  # in a tarball, a file comes before its folder, or saved_model.pb is not the last entry


@dataclass(frozen=True)
class Finding:
    """A fault of a model: its kind, and a sentence for a person."""

    kind: FaultKind
    text: str
