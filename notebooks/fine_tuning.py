# %% [markdown]
# # Fine-tune a feature extractor
#
# You will get:
#
# - a linear probe: a new layer, trained on the features of a published model;
# - the whole model fine-tuned from there, and the learning curves of both;
# - an exported model that takes pixels and needs TensorFlow alone, loaded again to check that.
#
# Run as it is, this notebook uses the small model that `make publish MODEL=vit_demo` publishes in a checkout, and a
# task made of that model's images. For your own, set `HUB`, `MODEL` and `DATA` in the next cell. In Colab, `HUB` is
# the address of a hub, and `DATA` a folder that you uploaded.

# %% tags=["parameters"]
HUB = "../artifacts/hub"  # a hub's folder; or its address, such as "https://models.example/hub"
MODEL = "vit-publisher/vit_demo_fe/2"  # the handle of a feature extractor, as the model's page has it
DATA = ""  # a folder with `train` and `test`, each with a folder of images per class; "": the task below

# %% [markdown]
# ## Get the module
#
# The module is a SavedModel in a `.tar.gz`. Keras needs its folder.

# %%
import os
import shutil
import tarfile
import tempfile
import urllib.request
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on this machine's processor

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from PIL import Image

tf.get_logger().setLevel("ERROR")  # no notes on which folders were written
work = Path(tempfile.mkdtemp())
archive = f"{HUB}/{MODEL}.tar.gz"
if HUB.startswith("http"):
    archive, _ = urllib.request.urlretrieve(archive)
with tarfile.open(archive) as file:
    file.extractall(work / "module", filter="data")

signature = tf.saved_model.load(work / "module").signatures["serving_default"]
size = signature.structured_input_signature[1]["inputs"].shape[1]
width = signature.structured_outputs["features"].shape[1]
print(f"images of {size} x {size} pixels to {width} features")

# %% [markdown]
# ## A task that the model does not know
#
# The demonstration model tells kinds of clothes apart. The new task: by how many degrees was the image turned? An
# image that is in `train`, in all four positions, is not in `test` in any.


# %%
def write_task(folder: Path) -> None:
    """Writes the folders train and test: 250 images of clothes each, turned by 0, 90, 180 and 270 degrees."""
    images = sorted(Path("../model_cards/demo/fashion_mnist_test").glob("*/*.png"))
    for split, chosen in (("train", images[0::4]), ("test", images[1::4])):
        for degrees in (0, 90, 180, 270):
            place = folder / split / f"{degrees} degrees"
            place.mkdir(parents=True)
            for number, path in enumerate(chosen):
                Image.open(path).rotate(degrees).save(place / f"{number:03}.png")


data = Path(DATA) if DATA else work / "turned"
if not DATA:
    write_task(data)
settings = {"image_size": (size, size), "batch_size": 50, "verbose": False}
train = keras.utils.image_dataset_from_directory(data / "train", seed=0, **settings)
test = keras.utils.image_dataset_from_directory(data / "test", shuffle=False, **settings)
classes = train.class_names
count = {name: sum(len(labels) for _, labels in images) for name, images in (("train", train), ("test", test))}
print(f"{count['train']:,} images to train, {count['test']:,} to test; {len(classes)} classes: {', '.join(classes)}")


def show(images: np.ndarray, titles: list[str]) -> None:
    """Draws a row of images with pixels of 0 to 255."""
    figure, row = plt.subplots(1, len(images), figsize=(1.2 * len(images), 1.6), dpi=80, squeeze=False)
    for axes, image, title in zip(row[0], images, titles, strict=True):
        axes.imshow(image.astype("uint8"))
        axes.set_title(title, fontsize=8)
        axes.axis("off")
    figure.tight_layout()
    plt.show()


images, labels = next(iter(train))
show(images[:8].numpy(), [classes[label] for label in labels[:8]])

# %% [markdown]
# ## The model
#
# `Rescaling` makes pixels of 0 to 255 what the module takes, and so becomes part of the model. `TFSMLayer` is the
# module as a layer of Keras 3. The new layer has a logit per class.

# %%
keras.utils.set_random_seed(0)
layer = keras.layers.TFSMLayer(str(work / "module"), call_endpoint="__call__", call_training_endpoint="train")
for weight in layer.weights:  # optimizers with momentum refuse the end that TensorFlow gives to names
    weight._path = weight.path.removesuffix(":0")
model = keras.Sequential(
    [
        keras.Input((size, size, 3)),
        keras.layers.Rescaling(1 / 127.5, offset=-1),  # pixels to [-1, 1]
        layer,
        keras.layers.Dense(len(classes)),
    ]
)


def fit(trainable: bool, rate: float, epochs: int) -> dict[str, list[float]]:
    """Trains the new layer, and the module, too, if `trainable`; returns the accuracies of each epoch."""
    layer.trainable = trainable
    model.compile(
        optimizer=keras.optimizers.SGD(rate, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    print(f"{sum(weight.shape.num_elements() for weight in model.trainable_weights):,} weights to train")
    # The images of `train` are in a new order in each epoch already.
    return model.fit(train, validation_data=test, epochs=epochs, shuffle=False, verbose=0).history


# %% [markdown]
# ## Linear probe
#
# The module stays as it is, and the new layer learns. This is quick, and needs few images. Its accuracy says how much
# of the task the features tell already.

# %%
probe = fit(trainable=False, rate=0.03, epochs=6)
print(f"linear probe: {probe['val_accuracy'][-1]:.1%} of the test images")

# %% [markdown]
# ## Fine-tuning
#
# All weights learn, with a tenth of the rate. Starting from the probe's layer keeps the first steps from damaging the
# features, which a layer of random weights would do.

# %%
tuned = fit(trainable=True, rate=0.003, epochs=10)
print(f"fine-tuned: {tuned['val_accuracy'][-1]:.1%} of the test images")

# %% [markdown]
# ## Learning curves
#
# Where the curve of the training images rises while that of the test images stays, the model learns the images by
# heart: stop there, or bring more images or augmentation (a layer such as `keras.layers.RandomFlip`, if a mirrored
# image is of the same class; of a turned one it is not).

# %%
figure, axes = plt.subplots(figsize=(7, 3.2), dpi=80)
start = len(probe["accuracy"])
for name, key in (("training images", "accuracy"), ("test images", "val_accuracy")):
    curve = [*probe[key], *tuned[key]]
    axes.plot(range(1, len(curve) + 1), curve, marker="o", markersize=3, label=name)
axes.axvline(start + 0.5, color="grey", linestyle="--")
axes.text(start + 0.3, 0.02, "linear probe", ha="right", transform=axes.get_xaxis_transform())
axes.text(start + 0.7, 0.02, "fine-tuning", ha="left", transform=axes.get_xaxis_transform())
axes.set(xlabel="epoch", ylabel="accuracy")
axes.legend(loc="upper left")
axes.grid(alpha=0.3)
figure.tight_layout()
plt.show()

# %% [markdown]
# ## Export
#
# `model.save` would keep the path of the module's folder, and load nothing without it. `model.export` writes a
# SavedModel that has everything: the preprocessing, the module with its tuned weights, and the new layer.

# %%
images, labels = next(iter(test))
expected = model.predict(images, verbose=0)
model.export(work / "tuned", verbose=False)
shutil.rmtree(work / "module")  # as on a machine that never had it

loaded = tf.saved_model.load(work / "tuned")
logits = loaded.serve(images).numpy()  # pixels of 0 to 255
print(f"the same logits: {np.allclose(logits, expected, rtol=1e-3, atol=1e-3)}")
files = [path for path in (work / "tuned").rglob("*") if path.is_file()]
print(f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB")

# %% [markdown]
# The exported model on test images that it gets wrong or right, each with the predicted class:

# %%
batches = [(images.numpy(), labels.numpy(), loaded.serve(images).numpy().argmax(axis=1)) for images, labels in test]
pictures, truth, predicted = (np.concatenate(parts) for parts in zip(*batches, strict=True))
right, wrong = np.flatnonzero(predicted == truth), np.flatnonzero(predicted != truth)
chosen = [*right[:: max(1, len(right) // 4)][:4], *wrong[:: max(1, len(wrong) // 4)][:4]]
show(pictures[chosen], [f"{classes[predicted[i]]}\n{'right' if predicted[i] == truth[i] else 'wrong'}" for i in chosen])
print(f"{len(right) / len(truth):.1%} of {len(truth):,} test images")
