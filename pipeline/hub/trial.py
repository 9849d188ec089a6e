"""What "Try it" on a module's page needs: a LiteRT file, and the facts with which its outputs become classes.

The facts are in try.json, which describe_trial() renders; publish puts it and the LiteRT files into the hub. The
website shows "Try it" on the pages of the versions whose entries list both (find_trial): it knows no more of a hub than
its index.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.hub import litert_js
from pipeline.hub.entries import ModuleEntry, PublishedFile

FACTS = "try.json"
MODELS = ("model_int8.tflite", "model.tflite")  # the first that is there: it is a quarter of the other
# Bytes of a LiteRT file. The memory of LiteRT.js ends at 2 GiB (getHeapMax in its script), and holds the file and its
# weights once more, as XNNPACK arranges them; beside it the worker holds what was loaded. Within this choice all of
# that stays near 1.2 GB: B/16 in float32 (346 MB) is offered, L/16 (1.2 GB) is not.
LARGEST = 400_000_000


@dataclass(frozen=True)
class Trial:
    """What the page of a version shows and loads.

    Attributes:
        model: the LiteRT file.
        facts: what describe_trial() returned.
        examples: the pictures of example predictions, whose titles say what they show.
        worker: the path in the hub of the script that runs the model.
        runtime_size: the bytes that are loaded beside the model's.
    """

    model: PublishedFile
    facts: PublishedFile
    examples: tuple[PublishedFile, ...]
    worker: str
    runtime_size: int


def describe_trial(folder: Path, labels: Sequence[str], image_size: int, activation: str) -> str | None:
    """Returns the text of try.json for a version.

    Args:
        folder: holds the version's LiteRT files, if there are any.
        labels: the name of each class in the order of the logits; none if they are unknown.
        image_size: the input's side, pixels.
        activation: what turns logits into probabilities, softmax or sigmoid.

    Returns:
        The text, or None where nothing can be tried: there is no LiteRT file that a browser can hold, or nobody knows
        what the outputs mean.
    """
    paths = [folder / name for name in MODELS]
    if not labels or not any(path.is_file() and path.stat().st_size <= LARGEST for path in paths):
        return None
    facts = {"activation": activation, "image_size": image_size, "labels": list(labels)}
    return json.dumps(facts, ensure_ascii=False, indent=0, sort_keys=True) + "\n"


def find_trial(entry: ModuleEntry) -> Trial | None:
    """Returns what a version's page needs to offer "Try it".

    None where its entry lists no facts or no LiteRT file of at most LARGEST bytes, and for a yanked version.
    """
    if entry.yanked:
        return None
    files = {file.page.removeprefix(f"{entry.handle}/"): file for file in entry.files}
    models = (files[name] for name in MODELS if name in files)
    model, facts = next((file for file in models if file.size <= LARGEST), None), files.get(FACTS)
    if model is None or facts is None:
        return None
    return Trial(model, facts, entry.examples, litert_js.WORKER, _runtime_size())


@functools.cache
def _runtime_size() -> int:
    return litert_js.download_size()
