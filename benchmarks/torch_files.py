"""Writes checkpoints with the code of timm and of transformers, as these programs publish them.

    PYTHON -m benchmarks.torch_files timm NAME IMAGE_SIZE CLASSES FOLDER [CHECKPOINT.npz] [OPTION=VALUE ...]
    PYTHON -m benchmarks.torch_files transformers CLASS FOLDER OPTION=VALUE ...

writes FOLDER/model.safetensors and prints the program's version. timm reads CHECKPOINT.npz by its own loader; without
it, and in transformers, weights are random, and FOLDER/images.npy and FOLDER/outputs.npy are two images (in [-1, 1],
channels last) and the outputs for them. Both compute as upstream does: the tanh form of GELU, an epsilon of 1e-6.
The interpreter needs timm, transformers and torch (benchmarks/requirements-forward.txt), and nothing of this project.
"""

import functools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def _options(words: list[str]) -> dict[str, Any]:
    return {name: json.loads(value) for name, value in (word.split("=", 1) for word in words)}


def write_timm(name: str, size: int, classes: int, folder: Path, words: list[str]) -> str:
    """Saves a model of timm as timm uploads models; returns timm's version."""
    import timm
    import torch
    from timm.models import save_for_hf

    checkpoint = words.pop(0) if words and "=" not in words[0] else None
    activation = functools.partial(torch.nn.GELU, approximate="tanh")
    sizes = {"img_size": size, "num_classes": classes} | _options(words)
    if checkpoint:
        # Without initialisation, a parameter that the checkpoint does not set keeps garbage and fails the comparison.
        model = timm.create_model(name, weight_init="skip", **sizes)
        model.load_pretrained(checkpoint)
    else:
        model = timm.create_model(name, act_layer=activation, **sizes).eval()
        _randomize(model)
        weights = model.state_dict()
        _save_outputs(model, size, folder)
        model = timm.create_model(name, **sizes)  # timm does not save a model with another GELU, which has no arrays
        model.load_state_dict(weights)
    save_for_hf(model, str(folder), safe_serialization=True)
    return f"timm {timm.__version__}"


def write_transformers(kind: str, folder: Path, words: list[str]) -> str:
    """Saves a model of transformers as its users do; returns its version."""
    import transformers

    options = _options(words)
    if kind.startswith("ViT"):
        config = transformers.ViTConfig(hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6, **options)
    else:
        classes = options.pop("num_labels", 0)
        config = transformers.SiglipVisionConfig(**options)
        if kind == "SiglipForImageClassification":
            config = transformers.SiglipConfig(vision_config=config.to_dict(), num_labels=classes)
    model = getattr(transformers, kind)(config).eval()
    _randomize(model)
    _save_outputs(lambda images: _output_of(model(images)), options["image_size"], folder)
    model.save_pretrained(folder)
    return f"transformers {transformers.__version__}"


def _output_of(output: Any) -> Any:
    """Returns the logits of a classifier, else what its pooling returns."""
    return output.logits if hasattr(output, "logits") else output.pooler_output


def _randomize(model: Any) -> None:
    """Sets every parameter to random values, as many programs leave biases and LayerNorms at zero and one."""
    import torch

    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
        is_scale = parameter.ndim == 1 and name.endswith("weight")
        parameter.data = 1 + 0.1 * noise if is_scale else noise * (0.02 if parameter.ndim == 1 else fan_in**-0.5)


def _save_outputs(model: Any, size: int, folder: Path) -> None:
    import torch

    images = torch.rand((2, 3, size, size), generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        outputs = model(images)
    np.save(folder / "images.npy", images.permute(0, 2, 3, 1).contiguous().numpy())
    np.save(folder / "outputs.npy", outputs.numpy())


def main(arguments: list[str]) -> None:
    program, name, *rest = arguments
    if program == "timm":
        size, classes, folder, *words = rest
        print(write_timm(name, int(size), int(classes), Path(folder), words))
    else:
        folder, *words = rest
        print(write_transformers(name, Path(folder), words))


if __name__ == "__main__":
    main(sys.argv[1:])
