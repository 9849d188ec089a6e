"""Trains vit_demo on Fashion-MNIST and writes its checkpoint and its 1,000 evaluation images beside this file.

    .venv/bin/python -m model_cards.demo.train <folder with the four Fashion-MNIST .gz files> [--epochs 25]

The files are those of https://github.com/zalandoresearch/fashion-mnist (MIT licence); Debian's package
dataset-fashion-mnist installs them in /usr/share/datasets/fashion-mnist. The model is a Mini/4 Vision Transformer on
the 28x28 images, with the grey values repeated over three channels. The test images are written as PNG files and
never used in training. The weights are those of the last epoch; none is selected by its accuracy.
"""

import argparse
import functools
import gzip
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict
from PIL import Image

from pipeline.model.parameters import Parameters
from pipeline.model.vit.network import VisionTransformer
from pipeline.model.vit.variants import variant

HERE = Path(__file__).parent
SIZE, BATCH = 28, 256  # pixels, images in a step
WARMUP, PEAK, DECAY, SMOOTHING = 500, 2e-3, 0.05, 0.1  # steps, learning rate, weight decay, label smoothing
State = tuple[Parameters, optax.OptState, jax.Array]  # parameters, the optimizer's state, the loss
Apply = Callable[[Parameters, jax.Array, jax.Array], jax.Array]  # parameters, inputs and a key for dropout to logits
MODEL = VisionTransformer(variant("Mini/4"), classes=10)


def read_idx(path: Path) -> np.ndarray:
    """Reads a gzipped IDX file of unsigned bytes: uint8, images (n, 28, 28) or labels (n,)."""
    raw = gzip.decompress(path.read_bytes())
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">u4", dimensions, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def augment(key: jax.Array, grey: jax.Array) -> jax.Array:
    """Augments uint8 images (n, 28, 28): mirrors half, shifts by up to 2 pixels, blackens an 8x8 square of half."""
    mirror, shift, cut, place = jax.random.split(key, 4)
    n = grey.shape[0]
    x = jnp.where(jax.random.bernoulli(mirror, 0.5, (n, 1, 1)), grey[:, :, ::-1], grey)
    padded = jnp.pad(x, ((0, 0), (2, 2), (2, 2)))
    corner = jax.random.randint(shift, (n, 2), 0, 5)
    x = jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, at, (SIZE, SIZE)))(padded, corner)
    top_left = jax.random.randint(place, (n, 2), -4, SIZE - 4)
    offset = jnp.arange(SIZE) - top_left[..., None]  # (n, 2, 28)
    inside = (offset >= 0) & (offset < 8)
    hole = inside[:, 0, :, None] & inside[:, 1, None, :] & jax.random.bernoulli(cut, 0.5, (n, 1, 1))
    return jnp.where(hole, 0, x)


def to_inputs(grey: jax.Array) -> jax.Array:
    """Turns uint8 (n, 28, 28) into the model's float32 (n, 28, 28, 3) in [-1, 1]."""
    scaled = (grey.astype(jnp.float32) - 127.5) / 127.5
    return jnp.repeat(scaled[..., None], 3, axis=-1)


def make_optimizer(steps: int) -> optax.GradientTransformation:
    """Returns AdamW with linear warm-up and cosine decay; weight decay applies to matrices only."""
    rate = optax.warmup_cosine_decay_schedule(0, PEAK, WARMUP, steps)
    matrices = functools.partial(jax.tree.map, lambda leaf: leaf.ndim > 1)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=DECAY, mask=matrices))


def make_step(apply: Apply, optimizer: optax.GradientTransformation) -> Callable[..., State]:
    """Returns a compiled training step, which takes parameters, the optimizer's state, a key, images and labels."""

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Parameters, state: optax.OptState, key: jax.Array, grey: jax.Array, label: jax.Array) -> State:
        def loss(params: Parameters) -> jax.Array:
            logits = apply(params, to_inputs(augment(key, grey)), key)
            target = optax.smooth_labels(jax.nn.one_hot(label, 10), SMOOTHING)
            return optax.softmax_cross_entropy(logits, target).mean()

        value, gradients = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, value

    return step


def train(apply: Apply, params: Parameters, data: Path, epochs: int) -> Parameters:
    """Trains on the 60,000 training images in a folder; all seeds are fixed.

    Args:
        apply: the network.
        params: its first parameters; their memory is reused.
        data: the folder of the .gz files.
        epochs: how often each image is seen.
    """
    images = read_idx(data / "train-images-idx3-ubyte.gz")
    labels = read_idx(data / "train-labels-idx1-ubyte.gz")
    steps_per_epoch = len(images) // BATCH
    optimizer = make_optimizer(steps_per_epoch * epochs)
    step = make_step(apply, optimizer)
    state = optimizer.init(params)
    order = np.random.default_rng(0)
    for epoch in range(epochs):
        started = time.monotonic()
        shuffled = order.permutation(len(images))[: steps_per_epoch * BATCH].reshape(steps_per_epoch, BATCH)
        losses = []
        for i, batch in enumerate(shuffled):
            key = jax.random.key(1 + epoch * steps_per_epoch + i)
            params, state, loss = step(params, state, key, images[batch], labels[batch])
            losses.append(loss)
        print(f"epoch {epoch + 1}/{epochs}: loss {np.mean(losses):.4f}, {time.monotonic() - started:.0f} s", flush=True)
    return params


def apply_vit(params: Parameters, images: jax.Array, key: jax.Array) -> jax.Array:
    """Returns the logits of vit_demo, which has no dropout."""
    del key
    logits: jax.Array = MODEL.apply({"params": params}, images)
    return logits


def write_checkpoint(params: Parameters, path: Path) -> None:
    """Writes the parameters as float32 arrays named by their paths, joined by '/'."""
    flat = {name: np.asarray(value, np.float32) for name, value in flatten_dict(params, sep="/").items()}
    np.savez(path, allow_pickle=False, **flat)


def write_test_images(images: np.ndarray, labels: np.ndarray, names: list[str], folder: Path, per_class: int) -> None:
    """Writes the first `per_class` test images of each class as folder/<class>/<index in the test set>.png."""
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in np.flatnonzero(labels == label)[:per_class]:
            Image.fromarray(images[index]).save(folder / name / f"{index:05d}.png", optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of the four .gz files")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--all-test-images", type=Path, help="also write all 10,000 test images to this folder")
    parser.add_argument("--images-only", action="store_true", help="write the images and train nothing")
    arguments = parser.parse_args()

    names = [line.split("\t")[0] for line in (HERE / "fashion_mnist.tsv").read_text().splitlines()]
    test = (
        read_idx(arguments.data / "t10k-images-idx3-ubyte.gz"),
        read_idx(arguments.data / "t10k-labels-idx1-ubyte.gz"),
    )
    write_test_images(*test, names, HERE / "fashion_mnist_test", per_class=100)
    if arguments.all_test_images:
        write_test_images(*test, names, arguments.all_test_images, per_class=1000)
    if not arguments.images_only:
        params = MODEL.init(jax.random.key(0), jnp.zeros((1, SIZE, SIZE, 3)))["params"]
        trained = train(apply_vit, params, arguments.data, arguments.epochs)
        write_checkpoint(trained, HERE / "vit_demo.npz")


if __name__ == "__main__":
    main()
