"""Converts an AugReg checkpoint to safetensors with timm, as timm publishes it.

    PYTHON -m benchmarks.timm_file VARIANT IMAGE_SIZE CLASSES CHECKPOINT.npz FOLDER

writes FOLDER/model.safetensors and prints timm's version. The interpreter needs timm and torch
(benchmarks/requirements-forward.txt), and nothing of this project.
"""

import sys

from benchmarks.contenders import TIMM


def write(variant: str, image_size: int, classes: int, checkpoint: str, folder: str) -> None:
    """Loads a checkpoint into timm's model and saves it as timm uploads models."""
    import timm
    from timm.models import save_for_hf

    # Without initialisation, a parameter that the checkpoint does not set keeps garbage and fails the comparison.
    model = timm.create_model(TIMM[variant], img_size=image_size, num_classes=classes, weight_init="skip")
    model.load_pretrained(checkpoint)
    save_for_hf(model, folder, safe_serialization=True)
    print(timm.__version__)


if __name__ == "__main__":
    variant, image_size, classes, checkpoint, folder = sys.argv[1:]
    write(variant, int(image_size), int(classes), checkpoint, folder)
