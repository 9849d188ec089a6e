"""What can be wrong with a SavedModel: it does not load or run, or this project would not publish it as it is."""

from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """The kinds of findings of pipeline.doctor; programs that read its JSON rely on these words.

    The first group are faults: they keep a model from being loaded or run. The second are rules for publication: such
    a model may serve its users well. `tensorflow` is a fault where no measured TensorFlow, or not the newest, runs the
    model; `files` where unpacking it would write elsewhere, or an asset is missing.
    """

    TAGS = "tags"  # there are several meta graphs, so that loaders need to be told which
    OPERATIONS = "operations"  # there are operations that no measured TensorFlow has
    PYTHON = "python"  # it calls Python functions of the process that saved it
    DEVICES = "devices"  # there are operations that do not run on CPUs
    ACCESS = "access"  # it reads or writes files beside its own, or uses the network
    CUSTOM_CALLS = "custom_calls"  # a StableHLO module calls functions that TensorFlow does not have
    MODULE = "module"  # a StableHLO module cannot be parsed
    ATTRIBUTES = "attributes"  # an attribute has no value, which TensorFlow's C++ loader (Serving, C, Java, v1) refuses
    VARIABLES = "variables"  # variables/variables.index is missing or damaged, or a data file missing or cut short

    TENSORFLOW = "tensorflow"  # it needs a newer TensorFlow than 2.14, the oldest supported
    PLATFORMS = "platforms"  # an XlaCallModule node is not lowered for all of cpu, cuda and tpu
    EFFECTS = "effects"  # a StableHLO module has side effects, which calling convention 8 cannot order
    GRADIENTS = "gradients"  # there are trainable variables, but the gradients of XlaCallModule nodes are not saved
    DEBUG_INFO = "debug_info"  # a StableHLO module says where in its author's program its operations come from
    PATHS = "paths"  # saved_model.pb contains names of files or folders of its author's machine
    SIGNATURE = "signature"  # there is no signature serving_default
    FILES = "files"  # a file, folder, link or name that is not published, or saved_model.pb is not at the root
    ORDER = "order"  # in a tarball, a file comes before its folder, or saved_model.pb is not the last entry


@dataclass(frozen=True)
class Finding:
    """A finding about a model: its kind, and a sentence for a person."""

    kind: FaultKind
    text: str
