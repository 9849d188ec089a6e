"""SavedModels that are written without TensorFlow: a graph with signatures, which can be opened but not run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.saved_model.graph import saved_model_class
from tests.saved_model.bundles import Place, write_index

DTYPES = {"float32": 1, "uint8": 4, "int32": 3, "string": 7, "int64": 9, "bool": 10, "float16": 19}
Tensors = Mapping[str, tuple[str, Sequence[int | None]]]  # name to dtype and shape
IMAGES: Tensors = {"images": ("float32", (None, 8, 8, 3))}
LOGITS: Tensors = {"logits": ("float32", (None, 1000))}


def write_graph(
    folder: Path, signatures: Mapping[str, tuple[Tensors, Tensors]] | None = None, tags: Sequence[str] = ("serve",)
) -> Path:
    """Writes a SavedModel of signatures, by name (inputs, outputs), and of a variable."""
    message = saved_model_class()(saved_model_schema_version=1)
    add_meta_graph(message, {"serving_default": (IMAGES, LOGITS)} if signatures is None else signatures, tags)
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(message.SerializeToString())
    (folder / "variables/variables.index").write_bytes(write_index([Place(b"v", size=1000)]))
    (folder / "variables/variables.data-00000-of-00001").write_bytes(bytes(1000))
    return folder


def add_meta_graph(message: Any, signatures: Mapping[str, tuple[Tensors, Tensors]], tags: Sequence[str]) -> None:
    meta = message.meta_graphs.add()
    meta.meta_info_def.tags.extend(tags)
    for name, (inputs, outputs) in signatures.items():
        for group, tensors in (("inputs", inputs), ("outputs", outputs)):
            for tensor, (dtype, shape) in tensors.items():
                info = getattr(meta.signature_def[name], group)[tensor]
                info.dtype = DTYPES[dtype]
                for size in shape:
                    info.tensor_shape.dim.add().size = -1 if size is None else size
