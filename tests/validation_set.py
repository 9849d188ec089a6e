"""A made-up part of ImageNet's validation set, in every layout in which the real set is distributed."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.images import labels
from pipeline.images.ground_truth import DEVKIT
from pipeline.images.names import IMAGES

LABELS = labels.read(Path(__file__).parents[1] / "model_cards/vit/imagenet2012.tsv", 1000)

# The class of each image. The first is of class 65 as in the real set; the others are arbitrary.
TRUTH = [65, *(np.arange(1, IMAGES) * 7 % 1000).tolist()]
NUMBERS = (1, 2, 3, 1000, 1001, 1002, 2001, 49_999, 50_000)


def name_of(number: int) -> str:
    """Returns the file name of a validation image."""
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def content_of(number: int) -> bytes:
    """Returns a small JPEG, different for each number."""
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), (number % 256, number // 256, 99)).save(buffer, "JPEG")
    return buffer.getvalue()


def write_sorted(folder: Path) -> Path:
    """Writes class folders named by synset."""
    for number in NUMBERS:
        path = folder / LABELS[TRUTH[number - 1]].key / name_of(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content_of(number))
    return folder


def write_flat(folder: Path) -> Path:
    """Writes all images into one folder."""
    folder.mkdir(parents=True)
    for number in NUMBERS:
        (folder / name_of(number)).write_bytes(content_of(number))
    return folder


def packed(files: dict[str, bytes], mode: str = "w") -> bytes:
    """Returns a tar archive of the files; `mode` is that of tarfile.open, such as "w:gz"."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    """Writes a tar archive of the files; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed(files))
    return path


def write_archive(path: Path) -> Path:
    """Writes an archive like the official one, whose images are in no order."""
    return write_tar(path, {name_of(number): content_of(number) for number in reversed(NUMBERS)})


def write_shards(folder: Path) -> Path:
    """Writes two WebDataset shards in the layout of timm's, with the original names and labels in JSON."""
    for shard, numbers in enumerate((NUMBERS[:4], NUMBERS[4:])):
        files: dict[str, bytes] = {}
        for place, number in enumerate(numbers):
            metadata = {"label": TRUTH[number - 1], "filename": f"val/{name_of(number)}", "width": 6}
            files |= {
                f"{shard}_{place}.jpg": content_of(number),
                f"{shard}_{place}.json": json.dumps(metadata).encode(),
            }
        write_tar(folder / f"imagenet1k-validation-{shard:02d}.tar", files)
    return folder


def _ilsvrc_id(label: int) -> int:
    """Returns the number of a class in this devkit, which as in the real one does not follow the order of synsets."""
    return (label * 3 + 489 - 195) % 1000 + 1


def devkit() -> dict[str, bytes]:
    """Returns the two files of the devkit that the pipeline reads, by name."""
    from scipy.io import savemat

    fields = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height")
    rows: list[tuple] = [(_ilsvrc_id(i), label.key, label.name, "", 0, 0, 0) for i, label in enumerate(LABELS)]
    # Synsets that contain classes and are not classes themselves.
    rows += [(number, f"n{number:08d}", "animal", "", 2, np.array([1, 2]), 1) for number in range(1001, 1011)]
    table = np.array(rows, dtype=[(field, object) for field in fields]).reshape(-1, 1)
    buffer = io.BytesIO()
    savemat(buffer, {"synsets": table})
    truth = "".join(f"{_ilsvrc_id(label)}\n" for label in TRUTH)
    return {"ILSVRC2012_validation_ground_truth.txt": truth.encode(), "meta.mat": buffer.getvalue()}


def _text(line: Callable[[int], str], head: str = "") -> bytes:
    return (head + "".join(line(number) + "\n" for number in range(1, IMAGES + 1))).encode()


def _key(number: int) -> str:
    return LABELS[TRUTH[number - 1]].key


def _kaggle(number: int) -> str:
    return f"{name_of(number)[:-5]},{_key(number)} 85 1 499 272 {_key(number)} 1 1 9 9 "


def ground_truth(form: str) -> dict[str, bytes]:
    """Returns the files of one of FORMS, by their paths relative to the folder with the images."""
    if form == "devkit":
        return {f"{DEVKIT}/data/{name}": content for name, content in devkit().items()}
    if form == "files of the devkit":
        return devkit()
    if form == "packed devkit":
        return {f"{DEVKIT}.tar.gz": packed({f"{DEVKIT}/data/{name}": data for name, data in devkit().items()}, "w:gz")}
    return {
        "Kaggle": {"LOC_val_solution.csv": _text(_kaggle, "ImageId,PredictionString\n")},
        "synsets": {"imagenet_2012_validation_synset_labels.txt": _text(_key)},
        "names and synsets": {"val_labels.txt": _text(lambda number: f"{name_of(number)} {_key(number)}")},
        "names and indices": {"val.txt": _text(lambda number: f"{name_of(number)} {TRUTH[number - 1]}")},
    }[form]


FORMS = (
    "devkit", "files of the devkit", "packed devkit", "Kaggle", "synsets", "names and synsets", "names and indices"
)  # fmt: skip


def write_truth(home: Path, form: str = "synsets") -> None:
    """Writes the ground truth beside the images, in one of FORMS."""
    for name, content in ground_truth(form).items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(content)
