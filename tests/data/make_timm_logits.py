"""Writes timm_logits.json: what timm computes for random checkpoints, as an independent witness for our Flax model.

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


if __name__ == "__main__":
    main()
