# %% [markdown]
# # Choose models of the AugReg pool
#
# The authors of "How to train your ViT?" published 51,509 fine-tuned Vision Transformers. You will get:
#
# - the best checkpoint of each variant by criteria that you write down;
# - plots of accuracy against speed, and of what the criteria leave over;
# - how the choice changes with other criteria, and why it differs from the collection in this project.
#
# It needs a checkout of the project with its environment, in Colab, too, and the pool's `index.csv`. **Its bucket is
# closed to anonymous readers: run as it is, this notebook makes an index up.** The made-up index has the pool's shape
# and the few accuracies that upstream's notebooks print; all its other accuracies are invented. Set `INDEX` to a copy
# of the real one before you choose anything.

# %% tags=["parameters"]
INDEX = ""  # the pool's index.csv, a file or an address; "": a made-up one
COLLECTION = "vit"  # a folder of model_cards/, whose criteria and members are used
PROJECT = ".."  # the folder of the checkout

# %%
import math
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, PROJECT)

import matplotlib.pyplot as plt

from benchmarks import synthetic_index
from pipeline.pool import index
from pipeline.pool.criteria import Criteria, read_criteria
from pipeline.pool.index import Row
from pipeline.pool.members import compare_members, members_by_checkpoint, read_members
from pipeline.pool.names import parse
from pipeline.pool.selection import Selection, select_checkpoints

work = Path(tempfile.mkdtemp())
source = INDEX or str(work / "index.csv")
if not INDEX:
    synthetic_index.write(work / "index.csv")
pool = index.load(source, work / "copy.csv", work / "downloads")
made_up = " (made-up index)" if pool.synthetic else ""
print(f"{len(pool.rows):,} checkpoints{made_up}")
for column in ("ds", "adapt_ds", "adapt_resolution"):
    counts = Counter(getattr(row, column) for row in pool.rows)
    print(f"  {column}: " + ", ".join(f"{value} {count:,}" for value, count in sorted(counts.items())))

# %% [markdown]
# ## Criteria
#
# The criteria of a collection are in its `collection.yaml`, so that everybody can see how its models were chosen.
# Those of the reference collection: pre-trained on ImageNet-21k, fine-tuned on ImageNet-1k at 224 pixels, at least 75
# % top-1 accuracy; of each variant the most accurate.

# %%
folder = Path(PROJECT) / "model_cards" / COLLECTION
criteria = read_criteria(folder / "collection.yaml")
selection = select_checkpoints(pool.rows, criteria)
members = read_members(folder)
print(f"{criteria.summary}; the highest {criteria.best_by} of each variant{made_up}\n")
by_checkpoint = members_by_checkpoint(members)
for choice in selection.choices:
    member = by_checkpoint.get(choice.checkpoint, "no member")
    rate = f"{choice.rate_text:>6} images/s"
    print(f"{choice.variant:9} {choice.score:.5f}  {rate}, the best of {choice.candidates}: {member}")
    print(f"          {choice.checkpoint}")

# %% [markdown]
# ## Accuracy against speed
#
# Speeds are upstream's, of one V100. A variant without a speed in the index (B/8) is not drawn.


# %%
def draw(axes: plt.Axes, selection: Selection, title: str) -> None:
    """Draws all checkpoints that meet the criteria, grey, and the chosen ones with their names."""
    rows = [row for group in selection.candidates.values() for row in group if row.infer_samples_per_sec > 0]
    score = selection.criteria.score
    axes.scatter([row.infer_samples_per_sec for row in rows], [score(row) for row in rows], s=8, color="lightgrey")
    chosen = [choice for choice in selection.choices if not math.isnan(choice.rate)]
    axes.scatter([choice.rate for choice in chosen], [choice.score for choice in chosen], s=30, zorder=3)
    for choice in chosen:
        place = (choice.rate, choice.score)
        axes.annotate(choice.variant, place, (-2, 5), textcoords="offset points", rotation=75, fontsize=8)
    axes.set(xscale="log", xlabel="images per second, V100", ylabel=selection.criteria.best_by, title=title)
    ticks = (50, 200, 1000, 4000)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xlim(30, 10_000)
    axes.margins(y=0.3)
    axes.minorticks_off()
    axes.grid(alpha=0.3)


figure, axes = plt.subplots(figsize=(7.5, 4.2), dpi=80)
draw(axes, selection, f"{len(selection.choices)} checkpoints chosen{made_up}")
figure.tight_layout()
plt.show()

# %% [markdown]
# ## What the criteria leave over
#
# Each condition alone, one after the other:

# %%
steps: list[tuple[str, Criteria | None]] = [("the pool", None)]
steps += [(f"{criteria.adapt_ds}", Criteria(criteria.ds, criteria.best_by, criteria.adapt_ds))]
steps += [(f"{criteria.adapt_resolution} pixels", replace(steps[-1][1], adapt_resolution=criteria.adapt_resolution))]
steps += [(f"accuracy {criteria.minimum_accuracy:.0%}", criteria)]
left = [sum(step is None or step.mismatch(row) is None for row in pool.rows) for _, step in steps]
labels = [steps[0][0], f"{criteria.ds}, then {steps[1][0]}", steps[2][0], steps[3][0]]

figure, axes = plt.subplots(figsize=(7.5, 2.2), dpi=80)
bars = axes.barh(labels, left)
axes.bar_label(bars, [f"{count:,}" for count in left], padding=3)
axes.invert_yaxis()
axes.set(xlabel=f"checkpoints{made_up}", xscale="log", xlim=(10, 300_000))
figure.tight_layout()
plt.show()

# %% [markdown]
# ## Other criteria
#
# A phone or a web server may need speed first. Criteria choose by accuracy; leave out the rows that are too slow
# before:

# %%
fast = [row for row in pool.rows if row.infer_samples_per_sec >= 1000]
larger = replace(criteria, adapt_resolution=384)
choices = {
    "at 224 pixels": selection,
    "at 384 pixels": select_checkpoints(pool.rows, larger),
    "at 224 pixels, 1,000 images/s or more": select_checkpoints(fast, criteria),
}
figure, row = plt.subplots(1, 3, figsize=(12, 3.8), dpi=70, sharey=True)
for axes, (title, each) in zip(row, choices.items(), strict=True):
    draw(axes, each, title)
    axes.label_outer()
figure.suptitle(f"The same pool, three criteria{made_up}")
figure.tight_layout()
plt.show()
for title, each in choices.items():
    print(f"{title}: {', '.join(choice.variant for choice in each.choices)}")

# %% [markdown]
# ## The names tell how a checkpoint was trained

# %%
best = selection.choices[0]
recipe = parse(best.checkpoint)
print(f"{best.checkpoint}\n")
print(f"  variant {recipe.variant}, pre-trained on {recipe.ds} for {recipe.epochs} epochs, augmentation {recipe.aug}")
print(f"  weight decay {recipe.wd}, dropout {recipe.do}, stochastic depth {recipe.sd}")
print(f"  fine-tuned on {recipe.fine_tuning.ds} at {recipe.resolution} pixels, learning rate {recipe.fine_tuning.lr}")

# %% [markdown]
# Which augmentation do the chosen checkpoints have, and which the 20 best of each variant?


# %%
def count_augmentations(rows: list[Row]) -> Counter[str]:
    """Returns how many rows have each augmentation."""
    return Counter(row.aug for row in rows)


variants = [choice.variant for choice in selection.choices if selection.candidates[choice.variant][20:]]
kinds = sorted({row.aug for row in pool.rows})
figure, axes = plt.subplots(figsize=(7.5, 2.8), dpi=80)
start = [0] * len(variants)
for kind, shade in zip(kinds, plt.colormaps["viridis"].resampled(len(kinds)).colors, strict=True):
    counts = [count_augmentations(selection.candidates[variant][:20])[kind] for variant in variants]
    axes.barh(variants, counts, left=start, color=shade, label=kind)
    start = [before + count for before, count in zip(start, counts, strict=True)]
axes.invert_yaxis()
axes.set(xlabel=f"of the 20 best checkpoints{made_up}")
axes.legend(fontsize=8, bbox_to_anchor=(1, 1), loc="upper left")
figure.tight_layout()
plt.show()

# %% [markdown]
# ## Compared with the collection
#
# `make select INDEX=index.csv DIFF=1` does this on the command line: the choice beside the members of the collection.

# %%
for difference in compare_members(selection, pool.rows, members):
    print(f"- {difference.sentence}\n")

# %% [markdown]
# ## Next
#
# `make add CHECKPOINT=<name> INDEX=index.csv` writes the YAML file of a chosen checkpoint, and `make publish`
# publishes it: `docs/augreg.md`.
