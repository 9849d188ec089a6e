"""The layouts in which people have images, as they download and unpack them."""

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.accuracy import summary
from pipeline.accuracy.classify import Task
from pipeline.base.fault import Fault
from pipeline.images import image_set
from pipeline.images.layout import Layout
from pipeline.images.split import Split
from tests.images.test_image_set import COLOURS
from tests.images.test_split import A, B, put, shard
from tests.validation_set import LABELS, content_of, name_of, write_tar

TFDS = Path(__file__).parents[1] / "data/tfds"
KAGGLE = "ImageId,PredictionString\n" + "".join(
    f"ILSVRC2012_val_{number:08d},{LABELS[number].key} 1 2 3 4 \n" for number in (1, 2)
)
VAL = "ILSVRC/Data/CLS-LOC/val"
OFFICIAL = {f"{LABELS[number].key}/{name_of(number)}" for number in (1, 2)}
KEYS = [LABELS[number].key for number in range(4)]


def kaggle(home: Path) -> Path:
    put(home, f"{VAL}/{name_of(1)}", f"{VAL}/{name_of(2)}", f"ILSVRC/Data/CLS-LOC/train/{A}/{A}_1.JPEG")
    put(home, "ILSVRC/Data/CLS-LOC/test/ILSVRC2012_test_00000001.JPEG")
    (home / "ILSVRC/ImageSets/CLS-LOC").mkdir(parents=True)
    (home / "ILSVRC/ImageSets/CLS-LOC/val.txt").write_text("ILSVRC2012_val_00000001 1\nILSVRC2012_val_00000002 2\n")
    (home / "ILSVRC/Annotations/CLS-LOC/val").mkdir(parents=True)
    (home / "LOC_val_solution.csv").write_text(KAGGLE)
    (home / "LOC_synset_mapping.txt").write_text(f"{A} tench\n")
    return home


def flat(home: Path, suffix: str, synset: bool = False) -> Path:
    """Writes two validation images into val/, called with or without their classes."""
    for number in (1, 2):
        put(home / "val", name_of(number)[:-5] + (f"_{LABELS[number].key}" if synset else "") + suffix)
    return home


def flat_with_truth(home: Path, suffix: str, line: str = "{stem}{suffix} {label}") -> Path:
    flat(home, suffix)
    lines = [line.format(stem=name_of(n)[:-5], suffix=suffix, label=n, key=LABELS[n].key) for n in (1, 2)]
    (home / "val.txt").write_text("\n".join(lines) + "\n")
    return home


def tiny_imagenet(home: Path) -> Path:
    put(
        home,
        "val/images/val_0.JPEG",
        "val/images/val_1.JPEG",
        f"train/{A}/images/{A}_0.JPEG",
        "test/images/test_0.JPEG",
    )
    lines = (f"val_{number}.JPEG\t{LABELS[number + 1].key}\t0\t32\t44\t62\n" for number in (0, 1))
    (home / "val/val_annotations.txt").write_text("".join(lines))
    (home / "wnids.txt").write_text(f"{A}\n{B}\n")
    (home / f"train/{A}/{A}_boxes.txt").write_text("x")
    return home


def link_to(target: Path, link: Path) -> Path:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target, target_is_directory=target.is_dir())
    return link


TINY = {f"{LABELS[1].key}/val_0.JPEG", f"{LABELS[2].key}/val_1.JPEG"}
ONE = {f"{A}/1.jpg"}
V2 = {f"{LABELS[n].key}/{n}.jpeg" for n in (2, 10, 999)}
LAYOUTS: dict[str, tuple[Callable[[Path], object], Layout, set[str]]] = {
    "Kaggle": (kaggle, Layout.VALIDATION_FOLDER, OFFICIAL),
    "Kaggle in one more folder": (lambda h: kaggle(h / "imagenet"), Layout.VALIDATION_FOLDER, OFFICIAL),
    "Hugging Face": (lambda h: flat(h, ".JPEG", synset=True), Layout.VALIDATION_FOLDER, OFFICIAL),
    "Hugging Face, sorted": (
        lambda h: put(h, *(f"{LABELS[n].key}/{name_of(n)[:-5]}_{LABELS[n].key}.JPEG" for n in (1, 2))),
        Layout.CLASS_FOLDERS,
        OFFICIAL,
    ),
    "val_images": (
        lambda h: put(h, *(f"val_images/{name_of(n)[:-5]}_{LABELS[n].key}.JPEG" for n in (1, 2))),
        Layout.VALIDATION_FOLDER,
        OFFICIAL,
    ),
    "flat, .jpg": (lambda h: flat_with_truth(h, ".jpg"), Layout.VALIDATION_FOLDER, OFFICIAL),
    "flat, .JPG": (lambda h: flat_with_truth(h, ".JPG"), Layout.VALIDATION_FOLDER, OFFICIAL),
    "flat, .jpeg": (lambda h: flat_with_truth(h, ".jpeg"), Layout.VALIDATION_FOLDER, OFFICIAL),
    "flat, .png": (lambda h: flat_with_truth(h, ".png"), Layout.VALIDATION_FOLDER, OFFICIAL),
    "truth of .JPEG, images .jpg": (
        lambda h: flat_with_truth(h, ".jpg", "{stem}.JPEG {key}"), Layout.VALIDATION_FOLDER, OFFICIAL
    ),
    "truth without suffixes": (
        lambda h: flat_with_truth(h, ".JPEG", "{stem} {label}"), Layout.VALIDATION_FOLDER, OFFICIAL
    ),
    "validation": (lambda h: put(h, f"validation/{A}/1.jpg"), Layout.CLASS_FOLDERS, ONE),
    "Validation": (lambda h: put(h, f"Validation/{A}/1.jpg"), Layout.CLASS_FOLDERS, ONE),
    "valid": (lambda h: put(h, f"valid/{A}/1.jpg"), Layout.CLASS_FOLDERS, ONE),
    "Images": (lambda h: put(h, f"Images/{A}/1.jpg", f"Annotation/{A}/1.xml"), Layout.CLASS_FOLDERS, ONE),
    "deeper": (lambda h: put(h, f"data/imagenet/images/{A}/1.jpg"), Layout.CLASS_FOLDERS, ONE),
    "images in a folder of the class": (lambda h: put(h, f"{A}/images/1.jpg"), Layout.CLASS_FOLDERS, ONE),
    "ImageNet-V2": (lambda h: put(h, "2/2.jpeg", "10/10.jpeg", "999/999.jpeg"), Layout.NUMBERED_FOLDERS, V2),
    "ImageNet-V2 in its folder": (
        lambda h: put(h, *(f"imagenetv2-matched-frequency-format-val/{n}/{n}.jpeg" for n in (2, 10, 999))),
        Layout.NUMBERED_FOLDERS,
        V2,
    ),
    "ImageNet-V2, gunzipped": (
        lambda h: write_tar(h / "v2.tar", {f"./imagenetv2-format-val/{n}/{n}.jpeg": b"" for n in (2, 10, 999)}),
        Layout.FOLDERS_IN_ARCHIVE,
        V2,
    ),
    "ImageNet-A in an archive": (  # WebDataset's keys end at the first dot
        lambda h: write_tar(
            h / "a.tar",
            {
                "imagenet-a/README.txt": b"x",
                f"imagenet-a/{A}/0.000116_digital clock _ fish_0.86.jpg": content_of(1),
                f"imagenet-a/{A}/._0.jpg": b"of a Macintosh",
            },
        ),
        Layout.FOLDERS_IN_ARCHIVE,
        {f"{A}/0.000116_digital clock _ fish_0.86.jpg"},
    ),
    "Imagenette in an archive": (
        lambda h: write_tar(h / "i.tar", {f"i/train/{A}/2.jpg": b"", f"i/val/{A}/1.jpg": b""}),
        Layout.FOLDERS_IN_ARCHIVE,
        ONE,
    ),
    "official archive of Hugging Face": (
        lambda h: write_tar(h / "val_images.tar", {name.replace("/", "_"): b"" for name in hugging_face_names()}),
        Layout.VALIDATION_ARCHIVE,
        OFFICIAL,
    ),
    "Tiny ImageNet": (tiny_imagenet, Layout.TINY_IMAGENET, TINY),
    "Tiny ImageNet in its folder": (lambda h: tiny_imagenet(h / "tiny-imagenet-200"), Layout.TINY_IMAGENET, TINY),
    "torchvision": (
        lambda h: [
            put(h, f"val/{A}/1.jpg", f"train/{A}/2.jpg", "ILSVRC2012_img_train.tar", "meta.bin"),
            put(h, "ILSVRC2012_devkit_t12.tar.gz"),
        ],
        Layout.CLASS_FOLDERS,
        ONE,
    ),
    "links": (
        lambda h: link_to(put(h.parent / "elsewhere", f"{A}/1.jpg"), h / "val"), Layout.CLASS_FOLDERS, ONE
    ),
    "links to images": (
        lambda h: link_to(put(h.parent / "blobs", "8a1f") / "8a1f", h / f"{A}/1.jpg"), Layout.CLASS_FOLDERS, ONE
    ),
    "a link to itself": (
        lambda h: link_to(put(h, f"{A}/1.jpg") / A, h / f"{A}/again"), Layout.CLASS_FOLDERS, ONE
    ),
}  # fmt: skip


def hugging_face_names() -> list[str]:
    return [f"{name_of(number)[:-5]}_{LABELS[number].key}.JPEG" for number in (1, 2)]


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_give_the_right_images_and_classes(name: str, tmp_path: Path) -> None:
    make, layout, expected = LAYOUTS[name]
    make(tmp_path / "here")
    loaded = image_set.open_images(tmp_path / "here", LABELS)
    assert (loaded.layout, {example.name for example in loaded.examples}) == (layout, expected)
    for example in loaded.examples:
        assert example.name.startswith(f"{LABELS[example.label].key}/")
        loaded.read(example)
    assert image_set.open_images(tmp_path / "here", LABELS).examples == loaded.examples


@pytest.mark.parametrize("part", ["", "ILSVRC", "ILSVRC/Data", "ILSVRC/Data/CLS-LOC", VAL])
def test_any_folder_of_kaggles_tree_will_do(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ground truth lies at the root. That of ImageSets has numbers in place of classes, and is not read."""
    kaggle(tmp_path / "k")
    loaded = image_set.open_images(tmp_path / "k" / part, LABELS)
    assert {example.name for example in loaded.examples} == OFFICIAL
    monkeypatch.chdir(tmp_path / "k" / part)
    assert image_set.open_images(Path(), LABELS).examples == loaded.examples


JUNK = {
    "README.txt": b"ImageNet-R: 200 classes",
    "LICENSE": b"MIT",
    ".DS_Store": b"\0\0\0\1Bud1",
    "Thumbs.db": b"\xd0\xcf\x11\xe0",
    "desktop.ini": b"[.ShellClassInfo]",
    "._1.jpg": b"\0\5\x16\7",
    "x.JPEG.xml": b"<annotation/>",
    "__MACOSX/._1.jpg": b"\0\5\x16\7",
    "@eaDir/1.jpg": content_of(3),
    "empty": b"",
}


@pytest.mark.parametrize("where", ["", f"{A}/"])
def test_files_that_are_no_images_do_not_count(where: str, tmp_path: Path) -> None:
    put(tmp_path / "r", f"{A}/1.jpg")
    for name, content in JUNK.items():
        (tmp_path / "r" / where / name).parent.mkdir(exist_ok=True)
        (tmp_path / "r" / where / name).write_bytes(content)
    os.mkfifo(tmp_path / "r" / where / "pipe.jpg") if where else None
    assert [example.name for example in image_set.open_images(tmp_path / "r", LABELS).examples] == [f"{A}/1.jpg"]


def test_damaged_images_count(tmp_path: Path) -> None:
    """By their suffix, whatever they hold; an image with another suffix, or none, by its first bytes."""
    put(tmp_path, f"{A}/1.JPG", f"{A}/without", f"{A}/photo.jpg_large")
    for name in ("text.jpg", "empty.png", "phone.heic", "x.GIF"):
        (tmp_path / A / name).write_bytes(b"")
    (tmp_path / A / "gone.jpg").symlink_to("nowhere")
    loaded = image_set.open_images(tmp_path, LABELS)
    names = ["1.JPG", "without", "photo.jpg_large", "text.jpg", "empty.png", "phone.heic", "x.GIF", "gone.jpg"]
    assert sorted(example.file for example in loaded.examples) == sorted(names)
    gone = next(example for example in loaded.examples if example.file == "gone.jpg")
    with pytest.raises(Fault, match=r"gone\.jpg: cannot be read \(No such file or directory\)"):
        loaded.read(gone)


def test_files_of_a_shard_that_are_no_images_do_not_count(tmp_path: Path) -> None:
    files = {"a.JPG": content_of(1), "a.cls": b"1", "a.seg.png": b"", "b.txt": b"", "b.json": b"{}", "README.md": b""}
    write_tar(tmp_path / "0.tar", files)
    assert [example.name for example in image_set.open_images(tmp_path, LABELS).examples] == [f"{B}/a.JPG"]


def test_images_of_some_classes_name_how_many(tmp_path: Path) -> None:
    """ImageNet-A and -R have 200 of the 1000 classes: the accuracy among these is a figure of its own."""
    put(tmp_path / "imagenet-r", f"{A}/art_0.jpg", f"{B}/sketch_1.jpg", "README.txt")
    images = image_set.open_images(tmp_path / "imagenet-r", LABELS)
    task = Task(images, images.examples, 224)
    assert task.present == [0, 1]
    assert summary.describe_images(task) == "2 images: class folders, split not known"
    assert summary.other_dataset(task) == "ImageNet-R"


@pytest.mark.parametrize(
    ("folder", "dataset"),
    [
        ("imagenet-c/blur/defocus_blur/3", "ImageNet-C"),
        ("imagenet-c/val", None),
        ("imagenet-a/val", None),  # of other work on ImageNet's validation set
    ],
)
def test_corrupted_images_are_not_the_validation_set(folder: str, dataset: str | None, tmp_path: Path) -> None:
    put(tmp_path / folder, f"{A}/{name_of(1)}")
    images = image_set.open_images(tmp_path / folder, LABELS)
    assert summary.other_dataset(Task(images, images.examples, 224)) == dataset


def test_the_folder_above_a_version_of_tensorflow_datasets(tmp_path: Path) -> None:
    version = tmp_path / "imagenet_v2/matched-frequency/3.0.0"
    shutil.copytree(TFDS / "imagenet_v2", version)
    expected = image_set.open_images(version, LABELS)
    for folder in (tmp_path, tmp_path / "imagenet_v2", tmp_path / "imagenet_v2/matched-frequency"):
        loaded = image_set.open_images(folder, LABELS)
        assert (loaded.description, loaded.examples) == (expected.description, expected.examples)
    shutil.copytree(version, tmp_path / "imagenet_v2/top-images/3.0.0")
    with pytest.raises(Fault, match=r"several data sets: .*matched.*/3\.0\.0, .*top-images/3"):
        image_set.open_images(tmp_path, LABELS)


def test_names_of_any_encoding_and_form_are_sorted(tmp_path: Path) -> None:
    """A name that is not UTF-8, and the same accented letter as a Mac and as Linux write it."""
    put(tmp_path / "a", f"{A}/cafe\u0301.jpg", f"{A}/1.jpg")
    (tmp_path / "a" / A / os.fsdecode(b"caf\xe9.jpg")).write_bytes(content_of(1))
    loaded = image_set.open_images(tmp_path / "a", LABELS)
    assert len(loaded.examples) == 3
    assert f"{A}/caf\u00e9.jpg" in {example.name for example in loaded.examples}
    assert len(image_set.manifest_digest(loaded.examples)) == 64


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda h: put(h, "images/air_freshener/1.png", "mappings/a.json"), "no class of the model is called 'air_"),
        (lambda h: put(h, "gren/1.jpg"), "no class of the model is called 'gren'"),
        (lambda h: put(h, f"defocus_blur/1/{A}/1.jpg", f"defocus_blur/2/{A}/1.jpg"),
         "the folder of a class within that of another, '1'; name the folder in IMAGENET= that holds the class"),
        (lambda h: put(h, f"{B}/{A}/1.jpg"), "the folder of a class within that of another, 'n01443537'"),
        (lambda h: put(h, "test/images/test_0.JPEG"), r"images: no images in any layout; .*found test_0\.JPEG"),
        (lambda h: put(h, "data/val_images.tar.gz"), r"no images in any layout; .*; unpack val_images\.tar\.gz"),
        (lambda h: write_tar(h / "ILSVRC2012_img_train.tar", {f"{A}.tar": b""}), "training images, by the name ILSVRC"),
        (lambda h: put(h, "1.jpg", "2.jpg"), r"no images in any layout; looked for .*; found 1\.jpg, 2\.jpg"),
        (lambda h: put(h, f"{A}/notes.txt").joinpath(A, "notes.txt").write_text("x"), "no images; expected a folder"),
        (lambda h: put(h, "a/0.tar", "b/0.tar"), "several data sets: a, b; name one of them in IMAGENET="),
        (lambda h: put(h, "dataset_info.json", "data-00000-of-00001.arrow"), "Arrow files of Hugging Face's datasets"),
        (lambda h: put(h, "val/val_annotations.txt").joinpath("val/val_annotations.txt").write_text("a\tn1\n"),
         r"val_annotations\.txt:1: expected <file name> and the key of a class of the model, got 'a\\tn1'"),
        (lambda h: [tiny_imagenet(h), put(h, "val/images/val_2.JPEG")], "it has no line for images/val_2.JPEG"),
        (lambda h: [shard(h / "test/0.tar", "a.jpg"), (h / "classnames.txt").write_text("stingray\n" * 200)],
         r"classnames\.txt: the shards' class indices are those of these 200 classes, expected the model's 1000"),
    ],
)  # fmt: skip
def test_other_folders_are_refused_in_one_sentence(
    make: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    make(tmp_path / "here")
    with pytest.raises(Fault, match=message):
        image_set.open_images(tmp_path / "here", LABELS)


@pytest.mark.parametrize(("name", "start"), [("imagenet.zip", b"PK\3\4"), ("val_images.tar.gz", b"\x1f\x8b")])
def test_a_packed_archive_is_to_be_unpacked(name: str, start: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(start)
    with pytest.raises(Fault, match=rf"{name}: of archives only \.tar is read without unpacking; unpack it"):
        image_set.open_images(tmp_path / name, COLOURS)


def test_a_link_to_a_folder_around_it_is_not_followed(tmp_path: Path) -> None:
    link_to(tmp_path, tmp_path / "val/lists/loop")
    with pytest.raises(Fault, match=r"lists: no images in any layout; .* found loop"):
        image_set.open_images(tmp_path, LABELS)


def test_links_within_an_archive_are_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo(f"{A}/1.jpg")
        member.size = len(content_of(1))
        archive.addfile(member, io.BytesIO(content_of(1)))
        for name, kind, target in (
            (f"{A}/2.jpg", tarfile.LNKTYPE, f"{A}/1.jpg"),
            (f"{B}/3.jpg", tarfile.SYMTYPE, f"../{A}/1.jpg"),
        ):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            archive.addfile(link)
    loaded = image_set.open_images(tmp_path / "a.tar", LABELS)
    assert {example.name for example in loaded.examples} == {f"{A}/1.jpg", f"{A}/2.jpg", f"{B}/3.jpg"}
    assert {loaded.read(example) for example in loaded.examples} == {content_of(1)}


def test_an_empty_folder_does_not_hide_the_archive_beside_it(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    write_tar(tmp_path / "ILSVRC2012_img_val.tar", {name: content_of(1) for name in hugging_face_names()})
    assert len(image_set.open_images(tmp_path, LABELS).examples) == 2


def test_an_archive_of_archives_is_to_be_unpacked(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "ILSVRC2012_img_train.tar", {f"{A}.tar": b"", f"{B}.tar": b""})
    with pytest.raises(Fault, match=r"an archive of archives, such as n01440764\.tar; unpack these into folders"):
        image_set.open_images(archive, LABELS, split=Split.TRAIN)
