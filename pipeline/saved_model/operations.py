"""Which TensorFlow has which operation, where it runs, and which library an operation of another origin comes from.

operations.tsv was made with `python -m benchmarks.runtime_probe --operations` and the wheels of TensorFlow in
pipeline.saved_model.runtimes. A row is an operation; the versions that have it ("2.15-", "2.14-2.17"; empty for all);
and "gpu" or "none" if no version has a kernel for CPUs: "gpu" has one for GPUs, "none" for neither. Those of "none" run
on TPUs or compiled by XLA, or TensorFlow has dropped their kernels (BoostedTrees). Attributes are not in the table:
both loaders of TensorFlow 2.14 were measured to ignore those that they do not know.
"""

import functools
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.saved_model import runtimes

_TABLE = Path(__file__).with_name("operations.tsv")

# Call a function of the process that made the graph: https://www.tensorflow.org/api_docs/python/tf/numpy_function
PYTHON_CALLS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")

# Without a kernel, but replaced before they would run.
_REPLACED = ("AccumulateNV2",)

# Names of operations of other libraries, as the libraries' own versions for TensorFlow 2.14 register them.
_LIBRARIES = (
    (r"Addons>", "tensorflow_addons"),
    (r"TFRA>", "tensorflow_recommenders_addons"),
    (r"IO>|Bigtable|BigQuery", "tensorflow_io"),
    (r"SimpleML|YggdrasilDecisionForests", "tensorflow_decision_forests"),
    (
        r"TFText>|Sentencepiece|(Fast)?WordpieceTokenize|FastBertNormalize|CaseFoldUTF8|NormalizeUTF8|RegexSplitWith"
        r"|WhitespaceTokenize|UnicodeScriptTokenize|SplitMergeTokenize|SentenceFragments|ConstrainedSequence|RougeL"
        r"|MaxSpanningTree|FindSourceOffsets|PhraseTokenize|TokenizerFromLogits",
        "tensorflow_text",
    ),
    (r"TRTEngineOp|\w+TRTResource|GetCalibrationDataOp", "TF-TRT"),
    (
        r"Resampler|SkipGramGenerateCandidates|ImageProjectiveTransform$|ImageConnectedComponents|BipartiteMatch"
        r"|GatherTree|AdjustHsvInYiq",
        "tf.contrib of TensorFlow 1",
    ),
    (r"Tfq", "tensorflow_quantum"),
    (r"Scann>", "scann"),
    (r"Horovod", "horovod"),
    (r"Reverb", "dm-reverb"),
    (r"Neuron", "AWS Neuron"),
    (r"Ipu", "Graphcore's TensorFlow"),
    (r"TFLite_|edgetpu-custom-op", "TensorFlow Lite, which alone runs it"),
)


class Device(StrEnum):
    """Where an operation runs."""

    ANY = ""
    GPU = "gpu"
    NONE = "none"  # neither on CPUs nor on GPUs


@dataclass(frozen=True)
class Operation:
    """An operation of TensorFlow: the first and the last minor version of the table that have it, and where it runs."""

    first: str
    last: str
    device: Device


@functools.cache
def table() -> dict[str, Operation]:
    """Returns every operation that a TensorFlow of the table has, by name."""
    rows = [line.split("\t") for line in _TABLE.read_text().splitlines() if not line.startswith("#")]
    return {name: _operation(*more) for name, *more in rows}


def _operation(versions: str = "", device: str = "") -> Operation:
    first, _, last = versions.partition("-")
    return Operation(first or runtimes.OLDEST, last or runtimes.NEWEST, Device(device))


def needs_device(name: str) -> Device:
    """Returns what an operation needs to run, ANY for one that is not in the table."""
    return table()[name].device if name in table() and name not in _REPLACED else Device.ANY


def library_of(name: str) -> str:
    """Returns the library that an operation probably comes from, or ""."""
    return next((library for pattern, library in _LIBRARIES if re.match(pattern, name)), "")
