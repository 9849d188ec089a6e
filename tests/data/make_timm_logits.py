"""Writes timm_logits.json and timm_mixer_logits.json: what timm computes for random checkpoints, to compare ours with.

    python tests/data/make_timm_logits.py        # where timm 1.0.31 and torch are installed beside our requirements

Not part of the tests, which only read its output: torch is several GB. timm reads AugReg files itself. Two constants
are set to upstream's before: the tanh form of GELU, and GroupNorm's epsilon 1e-6 (timm has the exact form and 1e-5).
"""

import functools
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
TIMM = {"Ti/16": "vit_tiny_patch16_224", "R+Ti/16": "vit_tiny_r_s16_p8_224", "R26+S/32": "vit_small_r26_s32_224"}


def timm_logits(name: str, checkpoint: Path, images: np.ndarray) -> np.ndarray:
    """Returns timm's logits (n, 1000) for float32 images (n, 224, 224, 3) in [-1, 1]."""
    import timm
    import torch

    model = timm.create_model(name, act_layer=functools.partial(torch.nn.GELU, approximate="tanh")).eval()
    model.load_pretrained(str(checkpoint))
    for module in model.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.eps = 1e-6
    with torch.no_grad():
        logits: np.ndarray = model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    return logits


def timm_mixer_state(arrays: dict[str, np.ndarray], layers: int) -> dict[str, np.ndarray]:
    """Returns upstream's arrays of an MLP-Mixer under timm's names, in PyTorch's order of axes."""
    names = {"stem": "stem.proj", "pre_head_layer_norm": "norm", "head": "head"}
    for layer in range(layers):
        ours, timm = f"MixerBlock_{layer}", f"blocks.{layer}"
        names |= {f"{ours}/LayerNorm_{number}": f"{timm}.norm{number + 1}" for number in (0, 1)}
        for mixing, mlp in (("token_mixing", "mlp_tokens"), ("channel_mixing", "mlp_channels")):
            names |= {f"{ours}/{mixing}/Dense_{number}": f"{timm}.{mlp}.fc{number + 1}" for number in (0, 1)}
    state = {}
    for path, value in arrays.items():
        parent, kind = path.rsplit("/", 1)
        transposed = value.transpose({4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[value.ndim])
        state[f"{names[parent]}.{'bias' if kind == 'bias' else 'weight'}"] = transposed.copy()
    return state


def timm_mixer_logits(arrays: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """Returns the logits of timm's MLP-Mixer of the size Mini with patches of 16 pixels.

    Args:
        arrays: its weights, in upstream's names; timm reads no Mixers of upstream.
        images: float32 (n, size, size, 3) in [-1, 1].
    """
    import torch
    from timm.models.mlp_mixer import MlpMixer

    model = MlpMixer(
        num_classes=len(arrays["head/bias"]), img_size=images.shape[1], patch_size=16, num_blocks=4, embed_dim=64,
        act_layer=functools.partial(torch.nn.GELU, approximate="tanh"),
    ).eval()  # fmt: skip
    model.load_state_dict({name: torch.from_numpy(value) for name, value in timm_mixer_state(arrays, 4).items()})
    with torch.no_grad():
        logits: np.ndarray = model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    return logits


def main() -> None:
    from benchmarks.random_checkpoints import random_arrays
    from pipeline.model.section import Model

    images = np.random.default_rng(0).uniform(-1, 1, (2, 224, 224, 3)).astype(np.float32)
    rows = {}
    for variant, name in TIMM.items():
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder, "random.npz")
            np.savez(checkpoint, allow_pickle=False, **random_arrays(Model(variant, 224, 1000)))
            rows[variant] = timm_logits(name, checkpoint, images)[:, :50].round(5).tolist()
    (HERE / "timm_logits.json").write_text(json.dumps(rows) + "\n")
    mixer = random_arrays(Model("Mini/16", 64, 10, architecture="mixer"))
    images = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
    logits = {"Mini/16": timm_mixer_logits(mixer, images).round(6).tolist()}
    (HERE / "timm_mixer_logits.json").write_text(json.dumps(logits) + "\n")


if __name__ == "__main__":
    main()
