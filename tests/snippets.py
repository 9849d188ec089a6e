"""The snippets of pages: which there are, runs of them, and what those that fine-tune need and must change."""

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from tests.conftest import ROOT

IMAGES = ROOT / "model_cards/demo/fashion_mnist_test"
KINDS = ("ankle_boot", "bag", "dress", "trouser")
# Put into a snippet before it trains, and after it: each variable of the module must have moved, but for the biases of
# keys. They change no attention, so that their gradients are zero but for rounding.
SEED = "import tensorflow\ntensorflow.keras.utils.set_random_seed(0)\n"
BEFORE = "before = [variable.numpy() for variable in layer.trainable_variables]\n"
AFTER = """
import re
import numpy as np
assert len(before) == {variables}, len(before)
pairs = zip(before, layer.trainable_variables)
still = [getattr(now, "path", now.name) for was, now in pairs if np.all(was == now.numpy())]
assert all(re.search("key.bias", name) for name in still), still
"""


def code_blocks(page: str, language: str = "python") -> list[str]:
    """Returns the code of a page in Markdown, block by block."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def blocks_of(page: str, language: str = "python", section: str = "") -> list[str]:
    """Returns the code of a page of this repository, such as docs/web.md, block by block.

    Tests that run a page's blocks take them from here: tests/docs/test_blocks.py looks for these calls.

    Args:
        page: its path.
        language: which blocks; those in lists come without their indentation.
        section: the heading (##) that they stand under; "" for the whole page.
    """
    text = (ROOT / page).read_text(encoding="utf-8")
    if section:
        (text,) = (part for part in re.split(r"^## ", text, flags=re.MULTILINE) if part.startswith(f"{section}\n"))
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in blocks]


def tuning(blocks: list[str]) -> list[str]:
    """Returns the blocks on fine-tuning: those that train, by library, then the one that uses the result."""
    return sorted((block for block in blocks if '"tuned"' in block), key=lambda block: "saved_model.load" in block)


def untuned(blocks: list[str]) -> list[str]:
    """Returns the other blocks."""
    return [block for block in blocks if '"tuned"' not in block]


def write_image(folder: Path) -> None:
    """Writes image.jpg, an image of a bag."""
    bag = next((IMAGES / "bag").iterdir())
    Image.open(bag).convert("RGB").resize((90, 60)).save(folder / "image.jpg")


def run_shell(folder: Path, script: str) -> str:
    """Runs commands of a shell in a folder; returns what they print."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Runs scripts one after the other, each with a namespace of its own: TensorFlow takes seconds to start.
RUNNER = "import json, sys\nfor script in json.load(sys.stdin): exec(script, {'__name__': '__main__'})"


def run_scripts(folder: Path, *scripts: str, settings: Mapping[str, str] | None = None) -> list[str]:
    """Runs Python in a folder with an image of a bag in it; returns the lines it prints."""
    write_image(folder)
    quiet = {
        "TFHUB_CACHE_DIR": str(folder / "tfhub"),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    done = subprocess.run(
        [sys.executable, "-c", RUNNER], input=json.dumps(scripts), cwd=folder, capture_output=True, text=True,
        env={**os.environ, **quiet, **(settings or {})}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "unsaved custom gradients" not in done.stderr  # the warning at every load that convert prevents
    return done.stdout.splitlines()


def write_folders(folder: Path, train: int = 16, test: int = 8) -> None:
    """Writes the folders `train` and `test` of a card's snippet: images of four kinds of garments, upright."""
    for kind in KINDS:
        paths = sorted((IMAGES / kind).iterdir())[: train + test]
        for part, chosen in (("train", paths[:train]), ("test", paths[train:])):
            (folder / part / kind).mkdir(parents=True)
            for path in chosen:
                Image.open(path).save(folder / part / kind / path.name)


def watched(snippet: str, variables: int) -> str:
    """Returns a snippet that fails unless its training changes each of the module's variables."""
    loop = "\nfor trainable, rate, epochs in "
    assert snippet.count(loop) == 1
    return SEED + snippet.replace(loop, f"\n{BEFORE}{loop}") + AFTER.format(variables=variables)


def accuracies(lines: list[str]) -> list[float]:
    """Returns the accuracy of each line that prints [loss, accuracy], as model.evaluate() returns them."""
    return [float(line.strip("[]").split(",")[1]) for line in lines if line.startswith("[")]
