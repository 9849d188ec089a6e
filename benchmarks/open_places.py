"""Fills in the open places of the files that `make new` writes, as a user does."""

import re
from collections.abc import Mapping
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.strict_yaml import OPEN_PLACE
from pipeline.base.yaml_sections import YamlFile

ANSWERS = {
    "publisher.id": "jane-doe",
    "publisher.name": "Jane Doe",
    "publisher.about": "Models of shapes.",
    "summary": "trained on drawings of shapes",
    "training": "trained from scratch on drawings of shapes [2] by Jane Doe",
    "dataset_tag": "other",
    "dataset_name": "Shapes",
    "license": "mit",
    "activation": "softmax",
    "overview": "They tell shapes apart.",
    "references[1].text": "Shapes, Doe",
    "references[1].url": "https://example.org/shapes",
    "evaluation.dataset": "the test set of Shapes",
    "evaluation.minimum_top1": "0.0",
    "module.title": "Model of Shapes",
}


def list_open_places(path: Path) -> list[tuple[int, str]]:
    """Returns the line and the name of each open place that reading a file reports."""
    try:
        YamlFile(path)
    except Fault as fault:
        pattern = rf"^  {re.escape(str(path))}:(\d+): ([\w.\[\]]+): "
        return [(int(line), name) for line, name in re.findall(pattern, str(fault), re.MULTILINE)]
    return []


def fill(path: Path, answers: Mapping[str, str] = ANSWERS) -> None:
    """Writes an answer to each open place of a file, and deletes the lines that may be deleted.

    Raises:
        KeyError: for a place without an answer whose line may not be deleted.
    """
    lines = path.read_text().split("\n")
    for line, name in list_open_places(path):
        text = lines[line - 1]
        if name not in answers and "or delete this line" in text:
            lines[line - 1] = ""
        else:
            lines[line - 1] = text.partition(OPEN_PLACE)[0].removesuffix('"') + answers[name]
    path.write_text("\n".join(lines))
