"""Upstream's folders beside the AugReg pool: what names and addresses mean, and what make add writes of them."""

import re
import shutil
from pathlib import Path

import pytest

from pipeline.add import Added, add
from pipeline.base import yaml_sections
from pipeline.base.fault import Fault
from pipeline.check import Settings, problems
from pipeline.facts.collection import read_collection
from pipeline.images import labels
from pipeline.model.section import Model
from pipeline.model.vit.variants import variant
from pipeline.pool.lookup import image_size_of, look_up
from pipeline.pool.names import Recipe
from pipeline.pool.upstream import RELEASES, UpstreamFile, list_files
from tests.conftest import ROOT

AUGREG = "S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.03-res_224"
FIRST_FILES = [next(file for file in list_files() if file.release is release) for release in RELEASES]


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    """The collection of the seven and the label files."""
    folder = tmp_path / "model_cards"
    for name in ("vit", "labels"):
        shutil.copytree(ROOT / "model_cards" / name, folder / name)
    return folder


def add_file(file: UpstreamFile, cards: Path) -> Added:
    size = str(file.image_sizes[0]) if len(file.image_sizes) > 1 else None
    return add(file.address, cards, None, None, None, size)


@pytest.mark.parametrize("file", list_files(), ids=lambda file: file.name)
def test_every_file_becomes_a_member_that_its_architecture_accepts(file: UpstreamFile, cards: Path) -> None:
    path = add_file(file, cards).files[-1]
    model = yaml_sections.load(path, "model", Model)  # the architecture has checked variant, size and options
    assert (model.architecture, model.variant) == (file.release.architecture, file.variant)
    assert model.classes == file.release.dataset.classes
    assert model.labels
    assert len(labels.read(path.parent / model.labels, model.classes)) == model.classes
    if file.release.architecture == "vit":
        width = variant(file.variant).width if file.release.folder.endswith("/imagenet21k") else None
        assert model.options.get("pre_logits") == width
        assert model.options.get("pooling", "token") == ("gap" if "gsam" in file.name else "token")


@pytest.mark.parametrize("file", FIRST_FILES, ids=lambda file: file.release.collection)
def test_every_collection_makes_good_pages_that_fit_it(file: UpstreamFile, cards: Path) -> None:
    release = file.release
    added = add_file(file, cards)
    assert problems(added.files[-1], Settings()) == []
    collection = read_collection(added.files[-1].with_name("collection.yaml"))
    assert collection.name == release.collection
    cited = {reference.url for reference in collection.references}
    assert {paper.url for paper in (release.family.paper, *release.methods)} <= cited
    assert ("https://arxiv.org/abs/2106.10270" in cited) is False  # AugReg's
    assert ("ImageNet-21k" in collection.training) == ("imagenet21k" in release.folder)
    assert ("fine-tuned on" in collection.training) == release.folder.endswith("+imagenet2012")
    assert "{" not in collection.training + collection.summary + collection.overview
    # All collections have one publisher, whose page is that of the last publication.
    assert collection.publisher.about.strip() == "Image models converted from JAX to TensorFlow."


def test_collections_and_members_have_different_names() -> None:
    assert len({release.collection for release in RELEASES}) == len(RELEASES)
    assert len({file.name for file in list_files()}) == len(list_files())
    copies = [copy for file in list_files() for copy in (*file.copies, *file.incomplete_copies)]
    assert len(set(copies)) == len(copies)


@pytest.mark.parametrize(
    ("checkpoint", "name"),
    [
        ("gs://mixer_models/imagenet21k/Mixer-B_16.npz", "imagenet21k/Mixer-B_16"),
        ("https://storage.googleapis.com/vit_models/imagenet21k/ViT-B_16.npz", "imagenet21k/ViT-B_16"),
        (
            "https://storage.googleapis.com/vit_models/imagenet21k%2Bimagenet2012/ViT-B_32.npz",
            "imagenet21k+imagenet2012/ViT-B_32",
        ),
        ("https://vit_models.storage.googleapis.com/sam/ViT-B_16.npz", "sam/ViT-B_16"),
        ("gsam/ViT-S_16-gap-norep", "gsam/ViT-S_16-gap-norep"),
        ("ViT-B_16-224.npz", "imagenet21k+imagenet2012/ViT-B_16-224"),
        ("hf://timm/mixer_b16_224.goog_in21k_ft_in1k", "imagenet1k/Mixer-B_16"),
        (
            "hf://timm/vit_base_patch16_224.orig_in21k_ft_in1k/model.safetensors",
            "imagenet21k+imagenet2012/ViT-B_16-224",
        ),
        ("https://huggingface.co/google/vit-base-patch16-224/tree/main", "imagenet21k+imagenet2012/ViT-B_16-224"),
        ("hf://google/vit-hybrid-base-bit-384@main", "imagenet21k+imagenet2012/R50+ViT-B_16"),
        ("google/vit-huge-patch14-224-in21k", "imagenet21k/ViT-H_14"),
        ("vit_small_patch16_224.augreg_in21k_ft_in1k", AUGREG),
        ("hf://timm/vit_small_patch16_224.augreg_in21k_ft_in1k", AUGREG),
        (AUGREG, AUGREG),
        (f"https://storage.googleapis.com/vit_models/augreg/{AUGREG}.npz", AUGREG),
    ],
)
def test_names_and_addresses_lead_to_the_checkpoint(checkpoint: str, name: str) -> None:
    assert look_up(checkpoint).name == name


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ("gs://vit_models/sam/ViT-B_17.npz", "no such checkpoint (did you mean 'gs://vit_models/sam/ViT-B_1"),
        ("gs://vit_models/sma/ViT-L_32.npz", "(did you mean 'gs://vit_models/sam/ViT-L_32.npz'?)"),
        ("hf://timm/mixer_b16_224.goog_in22k", "(did you mean 'hf://timm/mixer_b16_224.goog_in21k'?)"),
        ("google/vit-base-patch16-225", "(did you mean 'hf://google/vit-base-patch16-224'?)"),
        ("vit_base_patch16_224.dino", "CHECKPOINT=hf://timm/vit_base_patch16_224.dino: upstream documents no such"),
        ("Mixer-B_61", "CHECKPOINT=Mixer-B_61: upstream documents no such checkpoint (did you mean 'Mixer-B_16'?)"),
        ("sam/ViT-Q_16", "(did you mean 'sam/ViT-S_16'?)"),
        ("ViT-B_32", "which of upstream's files is it? Name its address: gs://vit_models/imagenet21k/ViT-B_32.npz, gs"),
        ("https://me:pw@example.org/x/ViT-B_16.npz?sig=1", "CHECKPOINT=https://example.org/x/ViT-B_16.npz: which of"),
        ("resnet50", "CHECKPOINT=resnet50: upstream documents no such checkpoint; docs/upstream.md lists"),
        ("Mixer_B_16", "upstream documents no such checkpoint (did you mean 'Mixer-B_16'?)"),
        ("B_16-i21k", "cannot parse the checkpoint's name: its pre-training ends before part 3"),
    ],
)
def test_unknown_and_ambiguous_names_are_refused_with_the_nearest(checkpoint: str, message: str) -> None:
    with pytest.raises(Fault) as raised:
        look_up(checkpoint)
    assert message in str(raised.value)
    assert "pw" not in str(raised.value)


def test_the_image_size_is_asked_for_only_where_nothing_tells_it() -> None:
    large = look_up("gs://vit_models/imagenet21k+imagenet2012/ViT-L_16.npz")
    usual = look_up("gs://vit_models/sam/ViT-B_16.npz")
    assert not isinstance(large, Recipe)
    assert not isinstance(usual, Recipe)
    assert image_size_of(large, "512") == 512
    assert image_size_of(usual, None) == image_size_of(usual, "224") == 224
    for file, size, message in (
        (large, None, "for which image size it was fine-tuned; set SIZE=384 or SIZE=512"),
        (large, "448", "SIZE=448: gs://vit_models/imagenet21k+imagenet2012/ViT-L_16.npz has 384 or 512 pixels; set"),
        (usual, "384", "SIZE=384: gs://vit_models/sam/ViT-B_16.npz has 224 pixels; set SIZE=224, or leave it out"),
    ):
        with pytest.raises(Fault) as raised:
            image_size_of(file, size)
        assert message in str(raised.value)


def test_nothing_is_written_for_a_wrong_size(cards: Path) -> None:
    before = sorted(cards.rglob("*"))
    for checkpoint, size in (("gs://vit_models/imagenet21k+imagenet2012/ViT-L_16.npz", None), (AUGREG, "384")):
        with pytest.raises(Fault, match="SIZE="):
            add(checkpoint, cards, "elsewhere", "mine", None, size)
    assert sorted(cards.rglob("*")) == before


@pytest.mark.parametrize(
    ("checkpoint", "reason"),
    [
        (
            "sam/ViT-B_16",
            "activation softmax, not sigmoid; references to https://arxiv.org/abs/2010.11929 and",
        ),
        (
            "imagenet21k/ViT-B_16",
            "dataset_tag imagenet-ilsvrc-2012-cls, not imagenet-21k; activation softmax",
        ),
        (
            "ViT-B_16-224",
            "references to https://arxiv.org/abs/2010.11929 and https://arxiv.org/abs/2106.1027",
        ),
    ],
)
def test_a_collection_of_other_models_is_refused(cards: Path, checkpoint: str, reason: str) -> None:
    with pytest.raises(Fault, match="does not belong in this collection") as raised:
        add(checkpoint, cards, "vit", "mine", None)
    assert f"which has {reason}" in str(raised.value)
    assert not (cards / "vit/mine.yaml").exists()


def test_users_are_told_of_a_head_that_was_zeroed_and_of_copies_that_lack_arrays(cards: Path) -> None:
    added = add("hf://google/vit-base-patch16-224-in21k", cards, None, "told", None)
    head, copies = added.notes
    assert "upstream set the head of this file to zero; make convert refuses such a head" in head
    assert copies.startswith("not among the sources: hf://timm/vit_base_patch16_224.orig_in21k, hf://google/vit-base-")
    assert "Note: according to timm" in added.files[-1].read_text()


def test_an_accuracy_is_quoted_only_where_the_readme_has_one() -> None:
    assert {file.file: file.reported_top1 for file in list_files() if file.reported_top1} == {
        "ViT-B_16-224": 0.812,
        "ViT-L_16-224": 0.827,
    }


def test_the_guide_lists_every_file() -> None:
    text = (ROOT / "docs/upstream.md").read_text()
    rows = {
        folder: (files, collection)
        for folder, files, collection in re.findall(r"^\| `(gs://\S+)` \| (.*) \| `(.*)` \|$", text, re.MULTILINE)
    }
    assert rows.pop("gs://vit_models/augreg")
    assert {folder: collection for folder, (_, collection) in rows.items()} == {
        release.folder: release.collection for release in RELEASES
    }
    for folder, (files, _) in rows.items():
        listed = {file.file.removesuffix("-gap-norep") for file in list_files() if file.release.folder == folder}
        assert set(re.findall(r"`([\w+-]+)`", files)) - {"-gap-norep"} == listed
