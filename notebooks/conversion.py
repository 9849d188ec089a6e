# %% [markdown]
# # Convert a checkpoint of your own
#
# You will get, from a file of weights that JAX or another program wrote:
#
# - the YAML file that describes it, with what the weights tell filled in;
# - two TensorFlow SavedModels, a classifier and a feature extractor;
# - the proof that they compute what the JAX model does, and a proof that fails, because a weight was changed;
# - a tarball that `tensorflow_hub` loads.
#
# It needs a checkout of the project with its environment, in Colab, too. Run as it is, it converts the demonstration
# network as another program would have saved it; set `CHECKPOINT` for a file of yours, and answer the questions below
# for it.

# %% tags=["parameters"]
CHECKPOINT = ""  # a file: .npz, safetensors, Flax's msgpack or a folder of Orbax; "": the demonstration network's
PROJECT = ".."  # the folder of the checkout

# %%
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on this machine's processor
os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, PROJECT)

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

work = Path(tempfile.mkdtemp())


def run(stage: str, *arguments: str | Path) -> str:
    """Runs a stage of the pipeline as make does; returns what it printed, without the folder's path.

    Raises:
        RuntimeError: when it refuses its input; says why.
    """
    command = [sys.executable, "-m", f"pipeline.{stage}", *map(str, arguments)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1].replace(f"{work}/", ""))
    return done.stdout.replace(f"{work}/", "").strip()


# %% [markdown]
# ## A checkpoint
#
# The project reads upstream's `.npz` files, and those of big_vision, Flax, Orbax, timm and transformers as they are.
# Here: the demonstration network's arrays below a prefix, in float16, as a training script might have written them.

# %%
checkpoint = Path(CHECKPOINT).resolve() if CHECKPOINT else work / "clothes.npz"
if not CHECKPOINT:
    with np.load(f"{PROJECT}/model_cards/demo/vit_demo.npz") as file:
        arrays = {f"params/{name}": file[name].astype(np.float16) for name in file.files}
    np.savez(checkpoint, **arrays)
    print(f"{len(arrays)} arrays, {checkpoint.stat().st_size / 1e6:.1f} MB; the first are")
    for name, array in list(arrays.items())[:4]:
        print(f"  {name}  {array.dtype} {array.shape}")

# %% [markdown]
# ## Describe it
#
# `make new COLLECTION=clothes MODEL=vit_clothes CHECKPOINT=clothes.npz` writes two YAML files: one for the model, one
# for the collection it belongs to. What begins with `TODO:` only you know. (`make` runs the modules of `pipeline`, as
# this notebook does.)

# %%
cards = work / "model_cards"
print(run("new", "clothes", "vit_clothes", "--checkpoint", checkpoint, "--cards", cards))
member = cards / "clothes/vit_clothes.yaml"
print()
print(member.read_text(encoding="utf-8").partition("\nmodel:")[2].partition("\nmodule:")[0].strip())

# %% [markdown]
# It found out by itself that the weights are a Vision Transformer Mini/4 for images of 28 x 28 pixels with 10
# classes. Until the other places are answered, every stage refuses the file:

# %%
try:
    run("convert", member, checkpoint, work / "out")
except RuntimeError as reason:
    print(reason)

# %% [markdown]
# The answers; `None` deletes the line. Edit the files by hand instead, if you like.

# %%
answers = {
    # the model
    "labels": "classes.tsv",  # a line per class: image folder, tab, name
    "dropout": None,
    "dataset": "the Fashion-MNIST test set",
    "images": "images",  # a folder of images per class, to measure the accuracy
    "minimum_top1": "0.88",  # below it, nothing is published
    "title": "ViT-Mini4 on clothes",
    # the collection
    "id": "jane-doe",
    "name": "Jane Doe",
    "about": "Models of clothes.",
    "summary": "trained on Fashion-MNIST",
    "training": "trained from scratch on Fashion-MNIST [2]",
    "dataset_tag": "fashion-mnist",
    "dataset_name": "Fashion-MNIST",
    "license": "apache-2.0",
    "activation": "softmax",
    "": "They tell kinds of clothes apart.",  # the overview
    "text": "Fashion-MNIST, Xiao et al.",
    "url": "https://arxiv.org/abs/1708.07747",
}


def fill(path: Path) -> None:
    """Writes the answers to the open places of a YAML file."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        before, place, _ = line.partition("TODO:")
        if place and not before.lstrip().startswith("#"):
            answer = answers[before.strip(' -"').rstrip(':"')]
            line = None if answer is None else before.rstrip('"') + answer
        lines += [] if line is None else [line]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


fill(member)
fill(member.with_name("collection.yaml"))
shutil.copy(f"{PROJECT}/model_cards/demo/fashion_mnist.tsv", member.with_name("classes.tsv"))
shutil.copytree(f"{PROJECT}/model_cards/demo/fashion_mnist_test", member.with_name("images"))
run("check", member)  # refuses what is left open or contradicts itself
print("no faults")

# %% [markdown]
# ## Convert it
#
# `fetch` gives the arrays upstream's names and types. `convert` writes both SavedModels.

# %%
out = work / "out"
run("fetch", member, out / "checkpoint.npz", "--lock", work / "checkpoints.lock")
run("convert", member, out / "checkpoint.npz", out)
for head in ("classification", "fe"):
    files = [path for path in (out / head).rglob("*") if path.is_file()]
    print(f"{head}: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB")

# %% [markdown]
# See for yourself: the same images through the JAX model and through the SavedModel.

# %%
from pipeline.base.yaml_sections import Member
from pipeline.checkpoints import npz
from pipeline.model.networks import open_network
from pipeline.model.section import Model

model = Member(member).section("model", Model)
network = open_network(model, member.parent)
weights = npz.load(out / "checkpoint.npz", network).arrays
shape = (8, model.image_size, model.image_size, 3)
images = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
ours = np.asarray(network.logits(weights, images))
theirs = tf.saved_model.load(out / "classification")(images).numpy()
difference = np.abs(ours - theirs).max() / np.abs(ours).max()
print(f"the largest difference is below 1e-5 of the largest logit: {difference < 1e-5}")

# %% [markdown]
# ## Prove it
#
# `validate` runs every check in a fresh process, on the files on disk: the weights bit for bit, the outputs against
# the JAX model in float64, every way to call the modules, the gradients, the accuracy on the images.

# %%
report_file = out / "report.json"
run("validate", member, out / "checkpoint.npz", out / "classification", out / "fe", report_file)

from pipeline.facts.report import load_report

report = load_report(report_file)
for rung in report.ladder:
    limit = "" if rung.tolerance is None else f"{'at least' if rung.rung == 'accuracy' else 'limit'} {rung.tolerance:g}"
    value = "" if rung.value is None else f"{rung.value:.2g}"
    print(f"{rung.verdict:12}  {rung.head or '':14}  {rung.rung:14}  {value:8} {limit}".rstrip())

# %% [markdown]
# How far the checks are from their limits:

# %%
errors = [rung for rung in report.ladder if rung.tolerance and rung.value is not None and rung.rung != "accuracy"]
names = [f"{rung.rung}, {rung.head or 'both'}" for rung in errors]
figure, axes = plt.subplots(figsize=(7, 0.24 * len(errors) + 0.9), dpi=80)
axes.barh(names, [max(rung.value / rung.tolerance, 1e-4) for rung in errors])
axes.axvline(1, color="red")
axes.set(xscale="log", xlim=(1e-4, 3), xlabel="relative error / limit")
axes.invert_yaxis()
axes.tick_params(labelsize=8)
figure.tight_layout()
plt.show()
measured = report.accuracy.measured
low, high = measured.top1_interval
print(f"accuracy {measured.top1:.1%} on {measured.images:,} images, 95 % interval {low:.1%} to {high:.1%}")

# %% [markdown]
# ## A proof that fails
#
# Change one weight of the checkpoint by 0.01, and compare the modules with that:

# %%
with np.load(out / "checkpoint.npz") as file:
    changed = {name: file[name] for name in file.files}
changed["head/bias"][0] += np.float32(0.01)
faulty = work / "faulty"
faulty.mkdir()
np.savez(faulty / "checkpoint.npz", **changed)
shutil.copy(out / "checkpoint.json", faulty)
try:
    run("validate", member, faulty / "checkpoint.npz", out / "classification", out / "fe", faulty / "report.json")
except RuntimeError as reason:
    print(reason)

# %% [markdown]
# ## Package it
#
# The tarball is what a hub serves. The same module gives the same bytes, every time.

# %%
digests = set()
for folder in (work / "first", work / "second"):
    folder.mkdir()
    run("package", out / "classification", folder / "classification.tar.gz")
    digests.add((folder / "classification.tar.gz.sha256").read_text(encoding="ascii"))
size = (work / "first/classification.tar.gz").stat().st_size
print(f"{size / 1e6:.1f} MB, the same bytes twice: {len(digests) == 1}")

# %% [markdown]
# `make publish MODEL=vit_clothes` does all of this for a member in `model_cards/`, writes the model cards and further
# formats (LiteRT, ONNX), and adds the model to a hub. `docs/members.md` says what the YAML files may have,
# `docs/own_networks.md` how to convert a network that is not a Vision Transformer.
