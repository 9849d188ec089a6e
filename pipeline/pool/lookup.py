"""Finds the checkpoint that a name or an address means: of the AugReg pool, or of upstream's other folders.

Understood are names of the pool's files; addresses in upstream's buckets, gs:// or https://, or their ends such as
sam/ViT-B_16; repositories on Hugging Face that hold copies, as hf://owner/repository, https://huggingface.co/... or
owner/repository; and timm's ids alone.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from pipeline.base.addresses import bucket_address, public_address
from pipeline.base.fault import Fault, nearest, show_name
from pipeline.pool import names
from pipeline.pool.drafts import timm_copies
from pipeline.pool.names import Recipe
from pipeline.pool.upstream import RELEASES, UpstreamFile, list_files

_HUGGING_FACE = re.compile(r"(?:hf://|https://huggingface\.co/)([^/]+)/([^/@?#]+)(?:[@/?#].*)?")
_REPOSITORY = re.compile(r"(timm|google)/([\w.-]+)")
_TIMM_ID = re.compile(r"(?:vit|mixer)_\w+\.\w+")
_UPSTREAM_NAME = re.compile(r"(?:R\d*\+)?(?:ViT|Mixer)-[\w+-]+")
_OF_POOL = re.compile("-i(?:21k|1k)|lr_")  # in each name of the pool
_BUCKETS = ("gs://vit_models/", "gs://mixer_models/")
_POOL = "gs://vit_models/augreg/"


def look_up(checkpoint: str) -> Recipe | UpstreamFile:
    """Returns what is known of a checkpoint by its name or address.

    Raises:
        Fault: for one that is unknown, names the nearest; for one that may be several, names them.
    """
    if repository := _repository(checkpoint):
        return _copied(repository)
    address = bucket_address(unquote(public_address(checkpoint)))
    if address.startswith(_BUCKETS) and not address.startswith(_POOL):
        return _at(address, public_address(checkpoint))
    place = address.removesuffix(".npz")
    folder, _, file = place.rpartition("/")
    if folder in {release.folder.rsplit("/", 1)[1] for release in RELEASES}:
        matches = [known for known in list_files() if known.name == place]
        return matches[0] if matches else _refuse(checkpoint, [known.name for known in list_files()])
    if _UPSTREAM_NAME.fullmatch(file):
        return _called(file, public_address(checkpoint), is_bare=not folder)
    if not _OF_POOL.search(checkpoint):  # what the pool's grammar expects would mislead
        return _refuse(checkpoint, [*(known.file for known in list_files()), *timm_copies().values()])
    return names.parse(checkpoint)


def image_size_of(file: UpstreamFile, size: str | None) -> int:
    """Returns the image size of a file, which the setting SIZE must tell where nothing else does.

    Raises:
        Fault: when SIZE is needed and missing, or is none of the file's sizes.
    """
    sizes = [str(known) for known in file.image_sizes]
    if size is None and len(sizes) == 1:
        return file.image_sizes[0]
    if size in sizes:
        return int(size)
    settings = " or ".join(f"SIZE={known}" for known in sizes)
    if size is not None:
        raise Fault(
            f"SIZE={show_name(size)}: {file.address} has {' or '.join(sizes)} pixels; set {settings}"
            f"{', or leave it out' if len(sizes) == 1 else ''}. To publish at another size, edit model.image_size"
        )
    raise Fault(
        f"{file.address}: neither its name nor upstream's README says for which image size it was fine-tuned; set"
        f" {settings} (make convert compares the size with the file)"
    )


def _repository(checkpoint: str) -> str | None:
    """Returns the repository on Hugging Face that a text names, such as "timm/mixer_b16_224.goog_in21k", or None."""
    if match := _HUGGING_FACE.fullmatch(checkpoint) or _REPOSITORY.fullmatch(checkpoint):
        return f"{match[1]}/{match[2]}"
    return f"timm/{checkpoint}" if _TIMM_ID.fullmatch(checkpoint) else None


def _copied(repository: str) -> Recipe | UpstreamFile:
    for file in list_files():
        if repository in (*file.copies, *file.incomplete_copies):
            return file
    pool = {f"timm/{model}": name for name, model in timm_copies().items()}
    if repository in pool:
        return names.parse(pool[repository])
    copies = [copy for file in list_files() for copy in (*file.copies, *file.incomplete_copies)]
    return _refuse(f"hf://{repository}", [f"hf://{known}" for known in (*copies, *pool)])


def _at(address: str, shown: str) -> UpstreamFile:
    for file in list_files():
        if address == file.address:
            return file
    return _refuse(shown, [file.address for file in list_files()])


def _called(file: str, shown: str, is_bare: bool) -> UpstreamFile:
    """Returns the file of a name without its folder, if there is one alone."""
    matches = [known for known in list_files() if known.file == file]
    if len(matches) == 1 and is_bare:
        return matches[0]
    if matches:
        places = ", ".join(known.address for known in matches)
        raise Fault(f"CHECKPOINT={shown}: which of upstream's files is it? Name its address: {places}")
    return _refuse(shown, [known.file for known in list_files()])


def _refuse(shown: str, known: Iterable[str]) -> UpstreamFile:
    raise Fault(
        f"CHECKPOINT={show_name(shown)}: upstream documents no such checkpoint{nearest(shown, known)}; docs/upstream.md"
        " lists those that it does. Use make new CHECKPOINT=<file or URL> for any other"
    )
