"""Trains cnn_demo on Fashion-MNIST and writes its checkpoint beside this file.

    .venv/bin/python -m model_cards.own.train_cnn <folder with the four Fashion-MNIST .gz files> [--epochs 12]

model_cards/demo/train.py has the data, the augmentation and the optimizer, and says where the files come from. The
weights are those of the last epoch; none is selected by its accuracy.
"""

import argparse
from pathlib import Path

import jax

from model_cards.demo.train import train, write_checkpoint
from model_cards.own.cnn import Cnn, Parameters

HERE = Path(__file__).parent
NETWORK = Cnn(image_size=28, classes=10, dropout=0.1)


def apply(params: Parameters, images: jax.Array, key: jax.Array) -> jax.Array:
    """Returns logits with dropout."""
    return NETWORK.head(params, NETWORK.features(params, images, train=True, rngs={"dropout": key}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of the four .gz files")
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()
    parameters = train(apply, NETWORK.init(jax.random.key(0)), arguments.data, arguments.epochs)
    write_checkpoint(parameters, HERE / "cnn_demo.npz")


if __name__ == "__main__":
    main()
