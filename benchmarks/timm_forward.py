"""Computes what timm's Vision Transformer computes from a checkpoint in upstream's layout.

    PYTHON -m benchmarks.timm_forward FOLDER

reads FOLDER/model.json (the arguments of timm's VisionTransformer, and `resnet`, the units of each stage or null),
checkpoint.npz and images.npy, float32 (n, size, size, 3); writes outputs.npz (tokens, features, logits) and prints
timm's version. The interpreter needs timm and torch (benchmarks/requirements-forward.txt), and nothing of this project.

timm reads upstream's files itself. Three constants are set to upstream's: the tanh form of GELU and GroupNorm's epsilon
1e-6 (timm has the exact form and 1e-5), and the epsilon of weight standardisation, which upstream adds to the deviation
and timm to the variance. timm has no `pre_logits` any more; NumPy computes that layer and the head.
"""

import functools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def standardise_as_upstream(convolution: Any) -> None:
    """Makes a convolution of timm divide its kernel by the deviation plus 1e-5."""
    import torch
    from timm.layers.padding import pad_same

    def forward(x: Any) -> Any:
        if convolution.same_pad:
            x = pad_same(x, convolution.kernel_size, convolution.stride, convolution.dilation)
        kernel = convolution.weight
        mean = kernel.mean(dim=(1, 2, 3), keepdim=True)
        deviation = kernel.std(dim=(1, 2, 3), keepdim=True, correction=0)
        kernel = (kernel - mean) / (deviation + 1e-5)
        return torch.nn.functional.conv2d(x, kernel, None, convolution.stride, convolution.padding)

    convolution.forward = forward


def create_model(arguments: dict[str, Any], resnet: list[int] | None) -> Any:
    """Returns timm's model, for inference."""
    import torch
    from timm.layers import HybridEmbed, StdConv2dSame
    from timm.models.vision_transformer import VisionTransformer
    from timm.models.vision_transformer_hybrid import _resnetv2

    if resnet is not None:
        arguments["embed_layer"] = functools.partial(HybridEmbed, backbone=_resnetv2(tuple(resnet)))
    gelu = functools.partial(torch.nn.GELU, approximate="tanh")
    model = VisionTransformer(**arguments, act_layer=gelu, fc_norm=False, weight_init="skip").eval()
    for module in model.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.eps = 1e-6
        if isinstance(module, StdConv2dSame):
            standardise_as_upstream(module)
    return model


def compute_outputs(folder: Path) -> dict[str, np.ndarray]:
    """Returns tokens (n, tokens, width), features (n, width) and logits (n, classes)."""
    import torch

    settings = json.loads((folder / "model.json").read_text())
    model = create_model(settings["arguments"], settings["resnet"])
    model.load_pretrained(str(folder / "checkpoint.npz"))
    images = torch.from_numpy(np.load(folder / "images.npy").transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        tokens = model.forward_features(images)
        features = model.forward_head(tokens, pre_logits=True).numpy()
    with np.load(folder / "checkpoint.npz") as arrays:
        if "pre_logits/kernel" in arrays:
            features = np.tanh(features @ arrays["pre_logits/kernel"] + arrays["pre_logits/bias"])
        logits = features @ arrays["head/kernel"] + arrays["head/bias"]
    return {"tokens": tokens.numpy(), "features": features, "logits": logits}


if __name__ == "__main__":
    import timm

    folder = Path(sys.argv[1])
    np.savez(folder / "outputs.npz", allow_pickle=False, **compute_outputs(folder))
    print(timm.__version__)
