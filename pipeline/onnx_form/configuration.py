"""What the ONNX files say of a module: config.json and preprocessor_config.json of transformers.js, and metadata.

Source: transformers.js 4.3, src/models/auto and src/image_processors_utils.js: the model type `vit` stands for any
network from `pixel_values` to `logits`, and the processor resizes, scales and normalizes as its file says.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.json_files import load_json
from pipeline.saved_model.files import folder_digest

BILINEAR = 2  # as Pillow, and so transformers, numbers the ways to resize
INPUT = "pixel_values"

_PROBLEMS = {"softmax": "single_label_classification", "sigmoid": "multi_label_classification"}


@dataclass(frozen=True)
class Facts:
    """What the files say of a module.

    Attributes:
        head: which of the two modules.
        handle: of the published version, such as "publisher/vit_s16_classification/2"; "" where none is known.
        content_sha256: pipeline.saved_model.files.folder_digest() of the SavedModel.
        title: a short name, such as "ViT-S16".
        license: an SPDX identifier.
        image_size: the side of the images, in pixels.
        labels: the names of the classes in the order of the logits; () for features, or classes without names.
        activation: what turns logits into probabilities, "softmax" or "sigmoid".
    """

    head: Head
    handle: str
    content_sha256: str
    title: str
    license: str
    image_size: int
    labels: tuple[str, ...] = ()
    activation: str = "softmax"

    @property
    def output(self) -> str:
        """The name of the files' output, as transformers.js has it.

        Its pipeline `image-feature-extraction` returns `image_embeds`: one vector for an image.
        """
        return self.head.output if self.head is Head.CLASSIFICATION else "image_embeds"


@dataclass(frozen=True)
class Release:
    """What a module's own files do not say.

    Attributes:
        handle, title, license, activation: as in Facts.
    """

    handle: str
    title: str
    license: str
    activation: str = "softmax"


def read_facts(folder: Path, head: Head, release: Release) -> Facts:
    """Returns the facts of a module that pipeline.convert wrote.

    Raises:
        Fault: when its provenance.json or labels.tsv is missing or malformed.
    """
    extra = folder / "assets.extra"
    try:
        provenance = load_json(extra / "provenance.json", "convert the member again")
    except FileNotFoundError:
        raise Fault(f"{extra / 'provenance.json'}: no such file; convert the member again") from None
    model = provenance.get("model") if isinstance(provenance, dict) else None
    size = model.get("image_size") if isinstance(model, dict) else None
    if not isinstance(size, int):
        raise Fault(f"{extra / 'provenance.json'}: no image_size in model; convert the member again")
    return Facts(
        head=head,
        handle=release.handle,
        content_sha256=folder_digest(folder),
        title=release.title,
        license=release.license,
        image_size=size,
        labels=_read_labels(extra / "labels.tsv"),
        activation=release.activation,
    )


def _read_labels(path: Path) -> tuple[str, ...]:
    if not path.exists():
        return ()
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    if rows[:1] != [["index", "key", "name"]] or any(len(row) != 3 for row in rows):
        raise Fault(f"{path}: expected lines of index, key and name; convert the member again")
    return tuple(row[2] for row in rows[1:])


def configuration(facts: Facts) -> dict[str, Any]:
    """Returns the content of config.json."""
    is_classifier = facts.head is Head.CLASSIFICATION
    classes = {
        "problem_type": _PROBLEMS[facts.activation],
        "id2label": {str(index): label for index, label in enumerate(facts.labels)},
        "label2id": {label: index for index, label in reversed(list(enumerate(facts.labels)))},
    }
    return {
        "architectures": ["ViTForImageClassification" if is_classifier else "ViTModel"],
        "model_type": "vit",
        "image_size": facts.image_size,
        "num_channels": 3,
        **(classes if facts.labels else {}),
    }


def preprocessor_configuration(facts: Facts) -> dict[str, Any]:
    """Returns the content of preprocessor_config.json: (pixel / 255 - 0.5) / 0.5, in the range [-1, 1]."""
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": facts.image_size, "width": facts.image_size},
        "resample": BILINEAR,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }


def metadata(facts: Facts, precision: str) -> dict[str, str]:
    """Returns the metadata_props of a file, texts all of them.

    Args:
        facts: of the module.
        precision: "float32", "float16" or "int8".
    """
    size, is_classifier = facts.image_size, facts.head is Head.CLASSIFICATION
    classes = {"activation": facts.activation, "labels": json.dumps(facts.labels, ensure_ascii=False)}
    return {
        "title": f"{facts.title} ({facts.head.noun})",
        **({"handle": facts.handle} if facts.handle else {}),
        "license": facts.license,
        "content_sha256": facts.content_sha256,
        "precision": precision,
        "input_layout": f"float32 (n, 3, {size}, {size}), RGB",
        "input_range": "[-1, 1]: (pixel - 127.5) / 127.5",
        "input_size": str(size),
        **(classes if is_classifier else {}),
    }


def as_text(content: Any) -> str:
    """Returns JSON as a file, the same for the same content."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def check_labels(labels: Sequence[str], outputs: int | None, where: object) -> None:
    """Raises Fault unless there is a label for each output, or none at all."""
    if labels and outputs != len(labels):
        raise Fault(f"{where}: {len(labels)} labels for {outputs} outputs; convert the member again")
