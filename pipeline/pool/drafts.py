"""Drafts the YAML files of a new member and a new collection from a checkpoint's name and its row in the index.

A member is named vit_<variant>[_<pre-training>][_<fine-tuning>][_<pixels>], without the usual values: ImageNet-21k
before a fine-tuning, ImageNet-1k after it, 224 pixels. If that name is in use, the hyper-parameters are added. Its
collection is named augreg_<pre-training>[_<fine-tuning>], since a collection's pages describe all of its members.
"""

import json
import math
import os
import textwrap
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.templates import render
from pipeline.pool import datasets, names
from pipeline.pool.datasets import Dataset
from pipeline.pool.index import Index, Row
from pipeline.pool.names import Recipe

BUCKET_SOURCE = "gs://vit_models/augreg/{name}.npz"  # fetch puts the checkpoint's name in
TIMM_SOURCE = "hf://timm/<model>/model.safetensors"
# The models of timm 1.0.31 whose configuration names a file of the pool as its origin: file, model.
TIMM_COPIES = Path(__file__).with_name("timm_copies.tsv")
MARGIN = 0.03  # a measured accuracy may be lower than the reported one by this: other resizing, fewer images
STEPS = {"0k": "500", "2k": "2,500", "10k": "10,000", "20k": "20,000"}  # the index's adapt_steps, which names round


def dataset_of(recipe: Recipe) -> Dataset:
    """Returns the data set whose classes the logits are."""
    return datasets.FINE_TUNING[recipe.fine_tuning.ds] if recipe.fine_tuning else datasets.PRETRAINING[recipe.ds]


def timm_copies() -> dict[str, str]:
    """Returns timm's model by the name of each file of the pool that it has a copy of."""
    return dict(line.split("\t") for line in TIMM_COPIES.read_text(encoding="utf-8").splitlines())


def sources_of(name: str) -> list[str]:
    """Returns where a checkpoint can be downloaded, in the order to try: the pool's bucket, then timm's copy if any."""
    copies = timm_copies()
    return [BUCKET_SOURCE, *([TIMM_SOURCE.replace("<model>", copies[name])] if name in copies else [])]


def collection_name(recipe: Recipe) -> str:
    """Returns the name of the collection for checkpoints trained on the same data."""
    return "_".join(["augreg", recipe.ds, *([recipe.fine_tuning.ds] if recipe.fine_tuning else [])])


def name_part(variant: str) -> str:
    """Returns the spelling of a variant in members' names: r26_s32 for R26+S/32."""
    return variant.lower().replace("/", "").replace("+", "_")


def title_part(variant: str) -> str:
    """Returns the spelling of a variant in titles: R26-S32 for R26+S/32."""
    return variant.replace("/", "").replace("+", "-")


def wrap(text: str) -> list[str]:
    """Returns the lines of a text in a drafted YAML file."""
    return textwrap.wrap(text, 110, break_long_words=False, break_on_hyphens=False)


def member_name(recipe: Recipe) -> str:
    """Returns a member's usual name; other checkpoints may have the same."""
    tuned = recipe.fine_tuning
    parts = ["vit", name_part(recipe.variant)]
    if tuned is None or recipe.ds != "i21k":
        parts.append(recipe.ds)
    if tuned and (tuned.ds != "imagenet2012" or recipe.ds != "i21k"):
        parts.append(tuned.ds)
    if recipe.resolution != names.PRETRAINING_RESOLUTION:
        parts.append(str(recipe.resolution))
    return "_".join(parts)


def long_name(recipe: Recipe) -> str:
    """Returns a name that no other checkpoint of the pool has: the usual name and the hyper-parameters."""
    tuned = recipe.fine_tuning
    parts = [member_name(recipe), recipe.aug, f"wd{recipe.wd}", f"do{recipe.do}", f"sd{recipe.sd}"]
    parts += [tuned.steps, f"lr{tuned.lr}"] if tuned else []
    return "_".join(parts).replace(".", "")


def draft_collection(recipe: Recipe, name: str) -> str:
    """Returns the text of a collection.yaml for checkpoints trained on the same data as this one."""
    tuned = recipe.fine_tuning
    return render(
        "add/collection.yaml.jinja", name=name, recipe=recipe, dataset=dataset_of(recipe),
        summary=_describe_training(recipe, reference=""), training=_describe_training(recipe, reference=" [2]"),
        # The authors pre-train with a sigmoid per class (google-research/big_vision, configs/vit_i1k.py and
        # vit_i21k.py: the loss sigmoid_xent) and fine-tune with a softmax (vision_transformer, vit_jax/train.py).
        activation="softmax" if tuned else "sigmoid",
        best_by="adapt_final_test" if tuned else "final_val",
    )  # fmt: skip


def _describe_training(recipe: Recipe, reference: str) -> str:
    """Returns how a checkpoint was trained, in words; `reference` follows the data set of the logits' classes."""
    pretraining = datasets.PRETRAINING[recipe.ds].name
    epochs = " for 30 epochs" if recipe.ds == "i21k_30" else ""
    if recipe.fine_tuning is None:
        return f"pre-trained on {pretraining}{reference}{epochs}"
    fine_tuning = datasets.FINE_TUNING[recipe.fine_tuning.ds].name
    if fine_tuning == pretraining:
        return f"pre-trained and fine-tuned on {fine_tuning}{reference}"
    return f"pre-trained on {pretraining}{epochs} and fine-tuned on {fine_tuning}{reference}"


def _describe_hyperparameters(recipe: Recipe) -> str:
    """Returns the note for a card: the hyper-parameters, and the data set's note on its classes."""
    note = (
        f"Its file name says how it was trained: {recipe.epochs} epochs with augmentation {recipe.aug}, learning rate"
        f" {recipe.lr}, weight decay {recipe.wd}, dropout {recipe.do} and stochastic depth {recipe.sd}"
    )
    if tuned := recipe.fine_tuning:
        steps = STEPS.get(tuned.steps, f"about {tuned.steps}")
        size = f"{tuned.resolution}x{tuned.resolution}"
        note += f"; fine-tuned in {steps} steps with learning rate {tuned.lr} at {size} pixels"
    return f"{note}. {dataset_of(recipe).note}".strip()


def _title(recipe: Recipe) -> str:
    """Returns a short name for lists, such as "ViT-S16 on CIFAR-100, 384 pixels"."""
    title = f"ViT-{title_part(recipe.variant)}"
    if recipe.fine_tuning is None or recipe.fine_tuning.ds != "imagenet2012":
        title += f" on {dataset_of(recipe).name}"
    return title + (f", {recipe.resolution} pixels" if recipe.resolution != names.PRETRAINING_RESOLUTION else "")


@dataclass(frozen=True)
class ReportedAccuracy:
    """A top-1 accuracy from an index, 0 to 1, and its source: the column and the index."""

    top1: float
    source: str

    @property
    def minimum(self) -> float:
        """The lowest accuracy to publish."""
        return max(0.0, self.top1 - MARGIN)


def _reported_accuracy(recipe: Recipe, row: Row, citation: str) -> ReportedAccuracy | None:
    """Returns the accuracy in a row of the index, or None where it has none."""
    column = "adapt_final_test" if recipe.fine_tuning else "final_test"
    top1 = getattr(row, column)
    return None if math.isnan(top1) else ReportedAccuracy(top1, f"column {column} of {citation}")


def draft_member(recipe: Recipe, folder: Path, cards: Path, pool: Index | None, row: Row | None) -> str:
    """Returns the text of a member's YAML file.

    Args:
        recipe: from the checkpoint's name.
        folder: the collection's folder, from which the label file is named.
        cards: the folder of all collections, which holds the label files.
        pool: the pool's index, if there is one.
        row: the checkpoint's row in it.
    """
    dataset = dataset_of(recipe)
    reported = _reported_accuracy(recipe, row, pool.citation) if pool and row else None
    return render(
        "add/member.yaml.jinja", recipe=recipe, dataset=dataset, sources=sources_of(recipe.name),
        labels=Path(os.path.relpath(cards / dataset.labels, folder)).as_posix(), has_index=pool is not None,
        reported=reported,
        source=json.dumps(reported.source, ensure_ascii=False) if reported else None,  # a valid YAML string
        minimum=f"{reported.minimum:.3f}" if reported else "0.0",
        title=_title(recipe),
        note=wrap(_describe_hyperparameters(recipe)),
    )  # fmt: skip
