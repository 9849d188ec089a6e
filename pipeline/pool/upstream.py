"""The checkpoints that upstream publishes beside the AugReg pool: the original ViTs, SAM, GSAM and the MLP-Mixers.

Their names say nothing but the variant, so that the other facts stand here and in upstream_files.tsv. Sources:

- README.md and vit_jax/configs/models.py of google-research/vision_transformer: the buckets; that file names are the
  configurations' names; that fine-tuning has 384 pixels unless a name ends in "-224"; the two accuracies; the mean
  pooling of the configurations "-gap-norep", with which GSAM's were trained (also big_vision,
  configs/proj/gsam/vit_i1k_gsam_no_aug.py). The original paper fine-tuned L/16 and H/14 at more than 384 pixels, and
  the README does not say which are published, so that the table has several sizes for them. Those of H/14 are the
  pixels that whole patches of 14 fill of 384 and 512.
- timm 1.0.31 (models/vision_transformer.py, vision_transformer_hybrid.py, mlp_mixer.py) and the model cards of
  Hugging Face's google/vit-*: the copies. Copies without a head, or with names that nothing here reads, are
  "incomplete": they only lead to the upstream file. timm calls its copies of mixer_models/imagenet1k
  "goog_in21k_ft_in1k", but upstream has no Mixer that was fine-tuned on ImageNet-1k; if they were other weights, the
  lock file would refuse the second source.
"""

import csv
import functools
from dataclasses import dataclass
from pathlib import Path

from pipeline.pool import papers
from pipeline.pool.datasets import IMAGENET, IMAGENET_21K, Dataset
from pipeline.pool.papers import Paper

FILES = Path(__file__).with_name("upstream_files.tsv")
README = "README.md of google-research/vision_transformer, update of 29 October 2020"
REPOSITORY_FILE = "hf://{}/model.safetensors"  # the file of a copy on Hugging Face


@dataclass(frozen=True)
class Release:
    """A folder of upstream's buckets, whose files become a collection.

    Attributes:
        folder: its address.
        collection: the name of its collection.
        suffix: the end of its members' names.
        title: a member's title; {variant} stands for "ViT-B16" or "Mixer-B16".
        architecture: as in the section `model`.
        pooling: likewise, in `options`; None for the architecture's usual one.
        dataset: whose classes the logits are.
        training: how the models were trained, a participle clause; {dataset} stands for the data set.
        methods: the papers on the training, if they are others than the architecture's.
        activation: of the loss that the models were trained with. big_vision's configurations of the same authors
            (mlp_mixer_i1k.py, vit_i21k.py, vit_i1k_gsam_no_aug.py) train with a sigmoid per class, and
            vision_transformer's vit_jax/train.py fine-tunes with a softmax. SAM is GSAM with other settings.
        remark: what a user must know before anything is downloaded; "" for nothing.
    """

    folder: str
    collection: str
    suffix: str
    title: str
    architecture: str
    dataset: Dataset
    training: str
    activation: str = "sigmoid"
    pooling: str | None = None
    methods: tuple[Paper, ...] = ()
    remark: str = ""

    @property
    def family(self) -> papers.Family:
        """The words for its models; its paper is the first reference."""
        return papers.FAMILIES[self.architecture]


_SAM = "trained from scratch on {dataset} with sharpness-aware minimization (SAM)"
_GSAM = "trained from scratch on {dataset} with surrogate gap guided sharpness-aware minimization (GSAM)"
_NO_HEAD = (
    "according to timm and to Hugging Face's model cards, upstream set the head of this file to zero; make convert"
    " refuses such a head, since every image would have the same logits: train one, or add the fine-tuned file"
)
RELEASES = (
    Release(
        "gs://vit_models/imagenet21k", "vit_orig_i21k", "orig_i21k", "{variant}, original, on ImageNet-21k", "vit",
        IMAGENET_21K, "pre-trained on {dataset}", remark=_NO_HEAD,
    ),
    Release(
        "gs://vit_models/imagenet21k+imagenet2012", "vit_orig", "orig", "{variant}, original", "vit", IMAGENET,
        "pre-trained on ImageNet-21k and fine-tuned on {dataset}", activation="softmax",
    ),
    Release(
        "gs://vit_models/sam", "vit_sam", "sam", "{variant}, SAM", "vit", IMAGENET, _SAM, methods=(papers.SAM,)
    ),
    Release(
        "gs://vit_models/gsam", "vit_gsam", "gsam", "{variant}, GSAM", "vit", IMAGENET, _GSAM, pooling="gap",
        methods=(papers.GSAM,),
    ),
    Release(
        "gs://mixer_models/imagenet1k", "mixer_i1k", "i1k", "{variant}", "mixer", IMAGENET,
        "trained on {dataset}",
    ),
    Release(
        "gs://mixer_models/imagenet21k", "mixer_i21k", "i21k", "{variant} on ImageNet-21k", "mixer", IMAGENET_21K,
        "pre-trained on {dataset}",
    ),
    Release(
        "gs://mixer_models/sam", "mixer_sam", "sam", "{variant}, SAM", "mixer", IMAGENET, _SAM, methods=(papers.SAM,)
    ),
    Release(
        "gs://mixer_models/gsam", "mixer_gsam", "gsam", "{variant}, GSAM", "mixer", IMAGENET, _GSAM,
        methods=(papers.GSAM,),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class UpstreamFile:
    """A file of a release.

    Attributes:
        release: its folder.
        file: its name without `.npz`.
        variant: of the architecture, as in the section `model`.
        image_sizes: in pixels; several where neither name nor README tells which it is.
        pre_logits: the width of its layer `pre_logits`, None without one.
        copies: repositories on Hugging Face that hold the same arrays.
        incomplete_copies: repositories with a part of them.
        reported_top1: the accuracy that the README expects, 0 to 1, or None.
    """

    release: Release
    file: str
    variant: str
    image_sizes: tuple[int, ...]
    pre_logits: int | None
    copies: tuple[str, ...]
    incomplete_copies: tuple[str, ...]
    reported_top1: float | None

    @property
    def name(self) -> str:
        """The checkpoint's name: with its folder, since several folders have files of the same name."""
        return f"{self.release.folder.rsplit('/', 1)[1]}/{self.file}"

    @property
    def address(self) -> str:
        """The file's address in upstream's bucket."""
        return f"{self.release.folder}/{self.file}.npz"

    @property
    def sources(self) -> list[str]:
        """Where it can be downloaded, in the order to try; {name} stands for its name."""
        bucket = self.release.folder.rsplit("/", 1)[0]
        return [f"{bucket}/{{name}}.npz", *(REPOSITORY_FILE.format(copy) for copy in self.copies)]

    @property
    def options(self) -> dict[str, str | int]:
        """The options of the section `model`."""
        pooling = {"pooling": self.release.pooling} if self.release.pooling else {}
        return pooling | ({"pre_logits": self.pre_logits} if self.pre_logits else {})


@functools.cache
def list_files() -> tuple[UpstreamFile, ...]:
    """Returns every file of upstream_files.tsv, in its order."""
    releases = {release.folder: release for release in RELEASES}
    with FILES.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return tuple(
        UpstreamFile(
            releases[row["folder"]],
            row["file"],
            row["variant"],
            tuple(map(int, row["image_sizes"].split(","))),
            int(row["pre_logits"]) if row["pre_logits"] else None,
            tuple(row["copies"].split()),
            tuple(row["incomplete_copies"].split()),
            float(row["reported_top1"]) if row["reported_top1"] else None,
        )
        for row in rows
    )


def file_called(name: str) -> UpstreamFile | None:
    """Returns the file of a checkpoint's name, such as "sam/ViT-B_16", or None."""
    return next((file for file in list_files() if file.name == name), None)
