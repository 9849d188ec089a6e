"""What the ONNX files say of a module: config.json and preprocessor_config.json of transformers.js, and metadata.

Source: transformers.js 4.3, src/models/auto and src/image_processors_utils.js: the model type `vit` stands for any
network from `pixel_values` to `logits`, and the processor resizes, scales and normalizes as its file says.
"""

import json
from collections.abc import Sequence
from typing import Any

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.forms.facts import Facts
from pipeline.forms.precision import Precision

BILINEAR = 2  # as Pillow, and so transformers, numbers the ways to resize
INPUT = "pixel_values"

_PROBLEMS = {"softmax": "single_label_classification", "sigmoid": "multi_label_classification"}


def output_name(head: Head) -> str:
    """Returns the name of the files' output, as transformers.js has it.

    Its pipeline `image-feature-extraction` returns `image_embeds`: one vector for an image.
    """
    return head.output if head is Head.CLASSIFICATION else "image_embeds"


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


def metadata(facts: Facts, precision: Precision) -> dict[str, str]:
    """Returns the metadata_props of a file, texts all of them."""
    size, is_classifier, handle = facts.image_size, facts.head is Head.CLASSIFICATION, facts.publication.handle
    classes = {"activation": facts.activation, "labels": json.dumps(facts.labels, ensure_ascii=False)}
    return {
        "title": facts.name,
        **({"handle": handle} if handle else {}),
        "license": facts.publication.license,
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
