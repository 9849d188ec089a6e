"""imagenet: downloads validation images that need no login, and says where to get others.

    python -m pipeline.imagenette OUT [--address ADDRESS] [--sha256 DIGEST] [--cache FOLDER] [--offline]

downloads Imagenette (fastai/imagenette: ten classes of ImageNet, shorter side 320 pixels) and unpacks the images of
ImageNet's validation set, 50 of a class, into OUT/imagenette2-320/<synset>. Imagenette's own split into train and val
mixes ImageNet's training and validation images (its issue 47); on training images, which the checkpoints have seen, the
accuracy would be too high. The file names tell them apart.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from pipeline.base.archives import EntryKind, read_archive
from pipeline.base.command import command
from pipeline.base.fault import Fault, Unavailable
from pipeline.base.files import replacing_folder
from pipeline.download import cache
from pipeline.download.obtain import Access, obtain_file
from pipeline.images.files import list_images

NAME = "imagenette2-320"
ADDRESS = f"https://s3.amazonaws.com/fast-ai-imageclas/{NAME}.tgz"
# Of 341,663,724 bytes, as TensorFlow Datasets records it (tensorflow_datasets/datasets/imagenette/checksums.tsv).
SHA256 = "569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c"
_ENTRIES = 20_000  # at most; it has 13,394 images in 22 folders

_VALIDATION_IMAGE = re.compile(rf"(?:\./)?{NAME}/(?:train|val)/(n\d{{8}}/ILSVRC2012_val_\d{{8}}\.JPEG)")

_OTHER_SETS = """\
IMAGENET= also takes
  ImageNet's validation set (50,000 images): ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz in one folder, or
    their files; from https://image-net.org/download-images, with a login
  ImageNet-V2 (10,000 new images): a folder unpacked from an archive of
    https://huggingface.co/datasets/vaishaal/ImageNetV2
  Kaggle's imagenet-object-localization-challenge: the folder unpacked from its archive, with a login
  Hugging Face: Parquet files of https://huggingface.co/datasets/ILSVRC/imagenet-1k, or WebDataset shards of
    https://huggingface.co/datasets/timm/imagenet-1k-wds, both with a login
  TensorFlow Datasets: the folder <data_dir>/<imagenet2012, imagenet_v2 or imagenette>
  and others: see docs/images.md
"""


def unpack(archive: Path, out: Path) -> int:
    """Unpacks the validation images of an archive of Imagenette into class folders.

    Args:
        archive: a .tar.gz file.
        out: the folder to write; an archive cannot write outside of it.

    Returns:
        The number of images.

    Raises:
        Fault: when the archive is damaged or has no validation images.
    """
    count = 0
    with replacing_folder(out) as folder, closing(read_archive(archive, _ENTRIES)) as members:
        for member in members:
            match = _VALIDATION_IMAGE.fullmatch(member.entry.name)
            if match and member.entry.kind is EntryKind.FILE:
                member.write(folder / match[1])
                count += 1
        if not count:
            raise Fault(f"{archive}: no {NAME}/.../<synset>/ILSVRC2012_val_<8 digits>.JPEG in it; nothing was kept")
    return count


def fetch(out: Path, address: str, sha256: str, access: Access) -> int:
    """Downloads and unpacks Imagenette, unless the folder exists.

    Args:
        out: the folder to write.
        address: where the archive is.
        sha256: its digest.
        access: cache, offline mode and retries.

    Returns:
        The number of images.

    Raises:
        Fault: when the archive cannot be downloaded, is another one, or is damaged.
    """
    if out.is_dir():
        return sum(1 for _ in list_images(out))
    try:
        with obtain_file(address, access, "imagenet", sha256) as file:
            if file.sha256 != sha256:
                raise Fault(
                    f"{address}: wrong sha256: expected {sha256}, got {file.sha256}; nothing was kept. If the"
                    " archive there has changed and you trust it, run python -m pipeline.imagenette with --sha256"
                )
            return unpack(file.path, out)
    except Unavailable as error:
        raise Fault(
            f"{address}: {error}; give --address of a mirror to python -m pipeline.imagenette, or use images of your"
            f" own.\n{_OTHER_SETS.rstrip()}"
        ) from None


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.imagenette", description="Downloads validation images.")
    parser.add_argument("out", type=Path, help=f"the folder in which to make {NAME}")
    parser.add_argument("--address", default=ADDRESS, help=f"where the archive is (default: {ADDRESS})")
    parser.add_argument(
        "--sha256", metavar="DIGEST", default=SHA256, help="its SHA-256 digest, if it is another archive"
    )
    cache.add_options(parser)
    args = parser.parse_args(arguments)
    folder = args.out / NAME
    count = fetch(folder, args.address, args.sha256, Access(cache.folder(args.cache), args.offline))
    sys.stdout.write(f"{count} images of ImageNet's validation set; use them with IMAGENET={folder}\n{_OTHER_SETS}")
    return str(folder)


if __name__ == "__main__":
    raise SystemExit(command("imagenet", main))
