"""A signature of a SavedModel as a graph whose weights are constants."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.saved_model.graph import attribute, parse
from pipeline.saved_model.signature_call import VariableSource, find_call
from pipeline.saved_model.variables import read_variables
from pipeline.translate.graph import Constant, Graph, bound
from pipeline.translate.inlining import inlined
from pipeline.translate.patterns import recover
from pipeline.translate.reading import read

SIGNATURE = "serving_default"


@dataclass(frozen=True)
class ModuleGraph:
    """What a module computes for images.

    Attributes:
        graph: from images (n, height, width, 3) to one output; without calls, patterns recovered.
        output: the name of the signature's output.
    """

    graph: Graph
    output: str


def read_module(folder: Path) -> ModuleGraph:
    """Reads the signature SIGNATURE of a module.

    Args:
        folder: a SavedModel as pipeline.convert writes it.

    Raises:
        Fault: when it is another SavedModel, is damaged, or has an operation that is not translated.
        OSError: when a file is missing.
    """
    path = folder / "saved_model.pb"
    meta_graph = parse(path.read_bytes(), folder).meta_graphs[0]
    call = find_call(meta_graph, SIGNATURE, folder)
    if len(call.arguments) != 1 or len(call.results) != 1:
        problem = f"{len(call.arguments)} inputs and {len(call.results)} outputs"
        raise Fault(
            f"{folder}: the signature {SIGNATURE} has {problem}; expected one of each: images, and their values"
        )
    variables = read_variables(folder, meta_graph)
    weights = {
        index: Constant(variables[source.number].value, variables[source.number].name)
        for index, source in enumerate(call.inputs)
        if isinstance(source, VariableSource)
    }
    platforms = [platform.decode() for platform in attribute(call.node, "platforms").list.s]
    graph = recover(read(attribute(call.node, "module").s, "cpu", platforms))
    whole = inlined(bound(graph, weights))
    ((output, index),) = call.results.items()
    return ModuleGraph(Graph(whole.name, whole.parameters, (whole.outputs[index],)), output)
