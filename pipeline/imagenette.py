"""imagenet: validation images that may be had without a login, and where to get the others.

    python -m pipeline.imagenette OUT [--address ADDRESS] [--sha256 DIGEST] [--cache FOLDER] [--offline]

downloads Imagenette (fastai/imagenette: ten classes of ImageNet, shorter side 320 pixels) and unpacks of it the images
of ImageNet's validation set, into OUT/imagenette2-320/<synset>. Imagenette's own split into train and val mixes
ImageNet's training and validation images (its issue 47), and the checkpoints were trained on the former: accuracy on
those would be flattery. The file names tell them apart, and a class has 50 of the latter.
"""

import argparse
import re
import sys
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from pipeline.base.command import command
from pipeline.base.fault import Fault, Unavailable
from pipeline.base.files import replacing_folder
from pipeline.download import cache
from pipeline.download.obtain import Access, obtain_file

NAME = "imagenette2-320"
ADDRESS = f"https://s3.amazonaws.com/fast-ai-imageclas/{NAME}.tgz"
# 341,663,724 bytes; as TensorFlow Datasets records them (tensorflow_datasets/datasets/imagenette/checksums.tsv).
SHA256 = "569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c"

_WANTED = re.compile(rf"(?:\./)?{NAME}/(?:train|val)/(n\d{{8}}/ILSVRC2012_val_\d{{8}}\.JPEG)")

_OTHERS = """\
IMAGENET= also takes
  ImageNet's validation set (50,000 images): ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz in one folder, or
    their files; from https://image-net.org/download-images, with a login
  ImageNet-V2 (10,000 new images): a folder unpacked from an archive of
    https://huggingface.co/datasets/vaishaal/ImageNetV2
  TensorFlow Datasets: the folder <data_dir>/<imagenet2012, imagenet_v2 or imagenette>/.../<version>
  WebDataset shards: such as those of https://huggingface.co/datasets/timm/imagenet-1k-wds, with a login
"""


def unpack(archive: Path, out: Path) -> int:
    """Unpacks the validation images of an archive of Imagenette into class folders.

    Args:
        archive: a .tar.gz file.
        out: the folder to write; nothing outside of it is, whatever the archive says.

    Returns:
        How many images there are.

    Raises:
        Fault: when the archive is damaged or has no such image.
    """
    found = 0
    with replacing_folder(out) as folder:
        try:
            with tarfile.open(archive, "r:gz") as opened:
                for member in opened:
                    wanted = _WANTED.fullmatch(member.name)
                    if wanted and member.isreg():
                        opened.extract(member.replace(name=wanted[1], deep=False), folder, filter="data")
                        found += 1
        except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the disk, not of the archive
            raise Fault(f"{archive}: not a sound .tar.gz archive ({error}); nothing was kept") from None
        if not found:
            raise Fault(f"{archive}: no {NAME}/.../<synset>/ILSVRC2012_val_<8 digits>.JPEG in it; nothing was kept")
    return found


def fetch(out: Path, address: str, sha256: str, access: Access) -> int:
    """Downloads and unpacks Imagenette, unless it is there.

    Args:
        out: the folder to write.
        address: where the archive is.
        sha256: its digest.
        access: cache, offline mode and patience.

    Returns:
        How many images there are.

    Raises:
        Fault: when the archive is not to be had, or is another one.
    """
    if out.is_dir():
        return sum(1 for _ in out.glob("*/*"))
    try:
        with obtain_file(address, access, "imagenet", sha256) as file:
            if file.sha256 != sha256:
                raise Fault(
                    f"{address}: wrong sha256: expected {sha256}, got {file.sha256}; nothing was kept. If another"
                    " archive lies there now and you trust it, run python -m pipeline.imagenette with --sha256"
                )
            return unpack(file.path, out)
    except Unavailable as error:
        raise Fault(
            f"{address}: {error}; say --address of a mirror to python -m pipeline.imagenette, or bring images of your"
            f" own.\n{_OTHERS.rstrip()}"
        ) from None


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.imagenette", description="Downloads validation images.")
    parser.add_argument("out", type=Path, help=f"the folder in which to make {NAME}")
    parser.add_argument("--address", default=ADDRESS, help=f"where the archive is (default: {ADDRESS})")
    parser.add_argument("--sha256", default=SHA256, help="its digest, if it is another archive")
    cache.add_options(parser)
    args = parser.parse_args(arguments)
    folder = args.out / NAME
    count = fetch(folder, args.address, args.sha256, Access(cache.folder(args.cache), args.offline))
    sys.stdout.write(f"{count} images of ImageNet's validation set: say IMAGENET={folder}\n{_OTHERS}")
    return str(folder)


if __name__ == "__main__":
    raise SystemExit(command("imagenet", main))
