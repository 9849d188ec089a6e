# %% [markdown]
# # Classify images
#
# You will get:
#
# - the five most likely classes of an image, with their probabilities, from pixels and straight from the image file;
# - the predictions for a batch of images;
# - a picture of what the model looked at, made by occlusion.
#
# Run as it is, this notebook uses the small model that `make publish MODEL=vit_demo` publishes in a checkout. For
# another model, set `HUB`, `MODEL` and `IMAGES` in the next cell. In Colab, `HUB` is the address of a hub, and
# `IMAGES` the files that you uploaded, such as `"/content/*.jpg"`.

# %% tags=["parameters"]
HUB = "../artifacts/hub"  # a hub's folder; or its address, such as "https://models.example/hub"
MODEL = "vit-publisher/vit_demo_classification/2"  # a handle, as the model's page has it
IMAGES = "../model_cards/demo/fashion_mnist_test/*/000[0-2]*.png"  # JPEG or PNG files
ACTIVATION = "softmax"  # "sigmoid" for a model whose classes do not exclude each other: its page says which

# %% [markdown]
# ## Load the model
#
# `hub.load` takes the address of a module in a hub, downloads it once and keeps it. It takes a folder, too, but no
# `.tar.gz` of this machine, so that the module of a local hub is unpacked first.

# %%
import os
import tarfile
import tempfile
import warnings
from glob import glob
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on this machine's processor
warnings.filterwarnings("ignore", "pkg_resources is deprecated")  # tensorflow_hub 0.16.1 imports it

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

if HUB.startswith("http"):
    address = f"{HUB}/{MODEL}.tar.gz"
else:
    address = tempfile.mkdtemp()
    with tarfile.open(f"{HUB}/{MODEL}.tar.gz") as archive:
        archive.extractall(address, filter="data")

model = hub.load(address)
size = model.signatures["serving_default"].structured_input_signature[1]["inputs"].shape[1]
print(f"images of {size} x {size} pixels, signatures: {', '.join(sorted(model.signatures))}")

# %% [markdown]
# TensorFlow alone loads the same folder: `tf.saved_model.load(folder)`. `hub.resolve` returns where the folder is.
# The names of the classes are in it, where its publisher gave them; else the classes have numbers here.

# %%
folder = hub.resolve(address)
model = tf.saved_model.load(folder)
classes = model.signatures["serving_default"].structured_outputs["logits"].shape[1]
names = [f"class {index}" for index in range(classes)]
labels = Path(folder, "assets.extra/labels.tsv")
if labels.exists():
    with labels.open(encoding="utf-8") as file:
        names = [line.rstrip("\n").split("\t")[2] for line in file][1:]  # a heading, then index, key, name
print(f"{len(names)} classes: {', '.join(names[:5])}, ...")

# %% [markdown]
# ## The five most likely classes
#
# The model takes a batch of RGB images with values from -1 to 1, and returns a logit per class.


# %%
def read_image(path: str) -> tf.Tensor:
    """Returns an image as the model takes it: float32 (size, size, 3) in [-1, 1]."""
    pixels = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
    return (tf.image.resize(pixels, (size, size)) - 127.5) / 127.5


def to_probabilities(logits: tf.Tensor) -> np.ndarray:
    """Returns the probability of each class (images, classes)."""
    return {"softmax": tf.nn.softmax, "sigmoid": tf.sigmoid}[ACTIVATION](logits).numpy()


def show(axes: plt.Axes, image: np.ndarray, title: str) -> None:
    """Draws an image in [-1, 1]."""
    axes.imshow((np.asarray(image) + 1) / 2, vmin=0, vmax=1)
    axes.set_title(title, fontsize=9)
    axes.axis("off")


files = sorted(glob(IMAGES))
if not files:
    raise FileNotFoundError(f"IMAGES = {IMAGES!r}: no such files")
image = read_image(files[0])
probabilities = to_probabilities(model(image[tf.newaxis]))[0]
top = np.argsort(-probabilities)[:5]

figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.2), dpi=80, width_ratios=(1, 2))
show(left, image, "the image, as the model gets it")
right.barh([names[index] for index in top[::-1]], probabilities[top[::-1]])
right.set(xlim=(0, 1), xlabel="probability")
figure.tight_layout()
plt.show()
for index in top:
    print(f"{probabilities[index]:.3f}  {names[index]}")

# %% [markdown]
# `serving_classify` does all of this inside the model: it takes image files as they are, and names the classes.

# %%
answer = model.signatures["serving_classify"](encoded=tf.io.read_file(files[0])[tf.newaxis])
for name, probability in zip(answer["top_classes"][0].numpy(), answer["top_probabilities"][0].numpy(), strict=True):
    print(f"{probability:.3f}  {name.decode()}")

# %% [markdown]
# ## A batch
#
# A batch of many images takes less time than the images one by one. The first batch of each size takes longer, since
# the model is compiled for it.

# %%
batch = tf.stack([read_image(path) for path in files])
answers = to_probabilities(model(batch))

shown = np.linspace(0, len(files) - 1, min(len(files), 12)).astype(int)
figure, grid = plt.subplots(2, 6, figsize=(9, 3.8), dpi=80, layout="constrained")
for axes in grid.flat:
    axes.axis("off")
for axes, index in zip(grid.flat, shown, strict=False):
    best = answers[index].argmax()
    show(axes, batch[index], f"{names[best]}\n{answers[index, best]:.2f}")
plt.show()
print(f"{len(files)} images, {len(set(answers.argmax(axis=1)))} different classes predicted")

# %% [markdown]
# ## What the model looked at
#
# Cover a square of the image with its mean colour, and see how much the probability of the predicted class drops.
# Where it drops most, the model found what it needed. Move the square over the whole image, all positions in one
# batch.


# %%
def occlude(image: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns how much the probability of the predicted class drops (size, size), and that class.

    The value of a pixel is the mean over all squares that cover it.
    """
    side, step = size // 4, max(1, size // 14)
    corners = [(y, x) for y in range(0, size - side + 1, step) for x in range(0, size - side + 1, step)]
    covered = np.repeat(image[np.newaxis], len(corners), axis=0)
    for number, (y, x) in enumerate(corners):
        covered[number, y : y + side, x : x + side] = image.mean(axis=(0, 1))
    probabilities = to_probabilities(model(image[np.newaxis]))[0]
    predicted = int(probabilities.argmax())
    drops = probabilities[predicted] - to_probabilities(model(covered))[:, predicted]
    total, count = np.zeros((size, size)), np.zeros((size, size))
    for (y, x), drop in zip(corners, drops, strict=True):
        total[y : y + side, x : x + side] += drop
        count[y : y + side, x : x + side] += 1
    return total / np.maximum(count, 1), predicted


chosen = shown[:: max(1, len(shown) // 4)][:4]
figure, grid = plt.subplots(
    2, len(chosen), figsize=(2 * len(chosen) + 1, 4.2), dpi=80, squeeze=False, layout="constrained"
)
maps = [occlude(batch[index].numpy()) for index in chosen]
largest = max(drops.max() for drops, _ in maps)
for (upper, lower), index, (drops, predicted) in zip(grid.T, chosen, maps, strict=True):
    show(upper, batch[index], names[predicted])
    show(lower, batch[index], "")
    heat = lower.imshow(drops, cmap="RdBu_r", vmin=-largest, vmax=largest, alpha=0.7)
figure.colorbar(heat, ax=grid[1, :], label="drop of the probability")
plt.show()

# %% [markdown]
# Red squares carry the evidence; covering a blue one makes the model more certain. The picture tells which pixels
# this one prediction depends on, not why. A square of another size or colour gives another picture: try both before
# you conclude anything.
#
# Next: [fine-tune the model on classes of your own](fine_tuning.ipynb).
