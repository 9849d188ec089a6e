"""The YAML files of a new member and of a new collection, drafted from what a checkpoint's name and the index say.

A member is called vit_<variant>[_<pre-training>][_<fine-tuning>][_<pixels>], with what is usual left out: ImageNet-21k
before a fine-tuning, ImageNet-1k after it, 224 pixels; where another checkpoint has that name, the hyper-parameters
follow. Its collection is augreg_<pre-training>[_<fine-tuning>]: what a
collection's pages say is true of all of its members.
"""

import json
import math
import os
import textwrap
from pathlib import Path
from typing import Any

from pipeline.base.templates import render
from pipeline.pool import datasets, names
from pipeline.pool.datasets import Dataset
from pipeline.pool.index import Row
from pipeline.pool.names import Recipe

# Where a checkpoint may be had, in order; the second for those that timm has a copy of.
SOURCES = ("gs://vit_models/augreg/{name}.npz", "hf://timm/<id>/model.safetensors")
# The models of timm 1.0.31 whose configuration names one of the pool's files as its origin: file, model.
TIMM_COPIES = Path(__file__).with_name("timm_copies.tsv")
ALLOWANCE = 0.03  # how far below the reported accuracy a measured one may lie: other resizing, fewer images
STEPS = {"0k": "500", "2k": "2,500", "10k": "10,000", "20k": "20,000"}  # the index's adapt_steps of what names round


def dataset_of(recipe: Recipe) -> Dataset:
    """Returns the data set that the logits are classes of."""
    return datasets.FINE_TUNING[recipe.fine_tuning.ds] if recipe.fine_tuning else datasets.PRETRAINING[recipe.ds]


def sources_of(name: str) -> list[str]:
    """Returns where a checkpoint may be had, in order."""
    copies = dict(line.split("\t") for line in TIMM_COPIES.read_text(encoding="utf-8").splitlines())
    return [SOURCES[0], *([SOURCES[1].replace("<id>", copies[name])] if name in copies else [])]


def collection_name(recipe: Recipe) -> str:
    """Returns the collection that a checkpoint belongs to unless another is named."""
    return "_".join(["augreg", recipe.ds, *([recipe.fine_tuning.ds] if recipe.fine_tuning else [])])


def member_name(recipe: Recipe) -> str:
    """Returns a member's usual name by the rule above."""
    tuned = recipe.fine_tuning
    parts = ["vit", recipe.variant.lower().replace("/", "").replace("+", "_")]
    if tuned is None or recipe.ds != "i21k":
        parts.append(recipe.ds)
    if tuned and (tuned.ds != "imagenet2012" or recipe.ds != "i21k"):
        parts.append(tuned.ds)
    if recipe.resolution != names.PRETRAINING_RESOLUTION:
        parts.append(str(recipe.resolution))
    return "_".join(parts)


def long_name(recipe: Recipe) -> str:
    """Returns a name that no other checkpoint of the pool has: the usual one and the hyper-parameters."""
    tuned = recipe.fine_tuning
    parts = [member_name(recipe), recipe.aug, f"wd{recipe.wd}", f"do{recipe.do}", f"sd{recipe.sd}"]
    parts += [tuned.steps, f"lr{tuned.lr}"] if tuned else []
    return "_".join(parts).replace(".", "")


def _words(recipe: Recipe) -> tuple[str, str]:
    """Returns how the checkpoint was trained, in words, and the same with the data set's reference."""
    before = datasets.PRETRAINING[recipe.ds].name
    brief = " for 30 epochs" if recipe.ds == "i21k_30" else ""
    if recipe.fine_tuning is None:
        return f"pre-trained on {before}{brief}", f"pre-trained on {before} [2]{brief}"
    after = datasets.FINE_TUNING[recipe.fine_tuning.ds].name
    if after == before:
        return f"pre-trained and fine-tuned on {after}", f"pre-trained and fine-tuned on {after} [2]"
    words = f"pre-trained on {before}{brief} and fine-tuned on {after}"
    return words, f"{words} [2]"


def collection_text(recipe: Recipe, name: str) -> str:
    """Returns the text of collection.yaml for checkpoints that were trained on the same data."""
    summary, training = _words(recipe)
    tuned = recipe.fine_tuning
    return render(
        "add/collection.yaml.jinja", name=name, recipe=recipe, dataset=dataset_of(recipe), summary=summary,
        training=training,
        # The authors pre-train with a sigmoid per class (google-research/big_vision, configs/vit_i1k.py and
        # vit_i21k.py: the loss sigmoid_xent) and fine-tune with a softmax (vision_transformer, vit_jax/train.py).
        activation="softmax" if tuned else "sigmoid",
        best_by="adapt_final_test" if tuned else "final_val",
    )  # fmt: skip


def note_of(recipe: Recipe) -> str:
    """Returns what a card says of one checkpoint among its kind: how its name says it was trained."""
    note = (
        f"Its file name says how it was trained: {recipe.epochs} epochs with augmentation {recipe.aug}, learning rate"
        f" {recipe.lr}, weight decay {recipe.wd}, dropout {recipe.do} and stochastic depth {recipe.sd}"
    )
    if tuned := recipe.fine_tuning:
        steps = STEPS.get(tuned.steps, f"about {tuned.steps}")
        size = f"{tuned.resolution}x{tuned.resolution}"
        note += f"; fine-tuned in {steps} steps with learning rate {tuned.lr} at {size} pixels"
    return " ".join([note + ".", dataset_of(recipe).note]).strip()


def title_of(recipe: Recipe) -> str:
    """Returns a short name for lists, such as "ViT-S16 on CIFAR-100, 384 pixels"."""
    title = "ViT-" + recipe.variant.replace("/", "").replace("+", "-")
    if recipe.fine_tuning is None or recipe.fine_tuning.ds != "imagenet2012":
        title += f" on {dataset_of(recipe).name}"
    return title + (f", {recipe.resolution} pixels" if recipe.resolution != names.PRETRAINING_RESOLUTION else "")


def reported_of(recipe: Recipe, row: Row | None, cited: str) -> dict[str, Any] | None:
    """Returns the accuracy that an index reports and where it stands, or None where it has none."""
    column = "adapt_final_test" if recipe.fine_tuning else "final_test"
    top1 = getattr(row, column) if row else math.nan
    if math.isnan(top1):
        return None
    return {"top1": top1, "source": f"column {column} of {cited}"}


def member_text(recipe: Recipe, folder: Path, cards: Path, row: Row | None, cited: str) -> str:
    """Returns the text of a member's YAML file.

    Args:
        recipe: the checkpoint's name, read.
        folder: the collection's, from which the label file is named.
        cards: the folder of all collections, which holds the label files.
        row: its row in the index, None without an index.
        cited: the index's, see pipeline.pool.index.Index.
    """
    dataset = dataset_of(recipe)
    reported = reported_of(recipe, row, cited)
    source = json.dumps(reported["source"], ensure_ascii=False) if reported else None  # YAML whatever a file is called
    note = textwrap.wrap(note_of(recipe), 110, break_long_words=False, break_on_hyphens=False)
    return render(
        "add/member.yaml.jinja", recipe=recipe, dataset=dataset, sources=sources_of(recipe.name), found=row is not None,
        labels=Path(os.path.relpath(cards / dataset.labels, folder)).as_posix(), reported=reported, source=source,
        minimum=f"{max(0.0, reported['top1'] - ALLOWANCE):.3f}" if reported else "0.0",
        title=title_of(recipe), note=note,
    )  # fmt: skip
