"""Which modules are one model, and under which names people find it."""

from pathlib import Path

import pytest

from pipeline.hub.entries import ModuleEntry, PublishedFile
from pipeline.hub.folder import read_index
from pipeline.hub.listed import ListedModule, list_module
from pipeline.hub.models import group_models, kind_of
from pipeline.hub.overview import Overview
from pipeline.hub.search_words import list_names

CLASSIFIER, FEATURES = "image-classification", "image-feature-vector"


def entry(handle: str, task: str, *more: PublishedFile) -> ListedModule:
    file = PublishedFile(f"{handle}.tar.gz", 1, "0" * 64)
    return list_module(ModuleEntry(handle, handle, task, (file, *more)))


def test_both_modules_of_a_member_are_one_model(published: Path) -> None:
    models = group_models(Overview.of(read_index(published)).newest)
    assert [(model.stem, [module.handle for module in model.entries]) for model in models] == [
        ("vit_demo", ["vit-publisher/vit_demo_classification/2", "vit-publisher/vit_demo_fe/2"]),
        ("vit_s16", ["sayakpaul/vit_s16_classification/1", "sayakpaul/vit_s16_fe/1"]),
    ]
    assert models[0].id == "vit-publisher/vit_demo_classification"


def test_modules_of_other_names_tasks_and_publishers_stay_apart() -> None:
    entries = [
        entry("a/net_fe/1", FEATURES),
        entry("a/net_classification/3", CLASSIFIER),
        entry("b/net_fe/1", FEATURES),  # of another publisher
        entry("a/net/1", CLASSIFIER),  # no member's module: its name is the whole stem
        entry("a/other_fe/1", CLASSIFIER),  # its name says another task than its tag
        entry("a/_fe/1", FEATURES),  # nothing is left of the name
        entry("a/flow/1", "video-optical-flow"),
    ]
    groups = [[module.handle for module in model.entries] for model in group_models(entries)]
    assert groups == [
        ["a/net_classification/3", "a/net_fe/1"],
        ["b/net_fe/1"],
        ["a/net/1"],
        ["a/other_fe/1"],
        ["a/_fe/1"],
        ["a/flow/1"],
    ]
    assert len({model.id for model in group_models(entries)}) == len(groups)
    assert [kind_of(task) for task in (CLASSIFIER, FEATURES, "video-optical-flow")] == [
        "classifier", "feature extractor", "video optical flow",
    ]  # fmt: skip


def test_the_picture_is_the_first_published_example() -> None:
    example = PublishedFile("a/net_fe/1/examples/0.0f8e9c1d2b3a4f56.png", 9, "0" * 64, "Bag")
    plot = PublishedFile("a/net_fe/1/plots/accuracy.svg", 9, "0" * 64)
    (model,) = group_models([entry("a/net_fe/1", FEATURES, plot, example)])
    assert model.picture == "a/net_fe/1/examples/0.png"
    assert group_models([entry("a/net_fe/1", FEATURES)])[0].picture is None


@pytest.mark.parametrize(
    ("architecture", "variant", "size", "timm"),
    [
        ("vit", "S/16", 224, "vit_small_patch16_224"),
        ("vit", "Ti/16", 384, "vit_tiny_patch16_384"),
        ("vit", "B/8", 224, "vit_base_patch8_224"),
        ("vit", "H/14", None, "vit_huge_patch14_224"),
        ("vit", "R26+S/32", 224, "vit_small_r26_s32_224"),
        ("vit", "R50+L/32", 384, "vit_large_r50_s32_384"),
        ("vit", "R+Ti/16", 224, "vit_tiny_r_s16_p8_224"),
        ("mlp-mixer", "B/16", 224, "mixer_b16_224"),
    ],
)
def test_variants_have_their_names_in_timm(architecture: str, variant: str, size: int | None, timm: str) -> None:
    """The expected names are those of timm's registry."""
    assert list_names(architecture, variant, size)[-1] == timm


def test_other_names_of_variants() -> None:
    assert {"small", "S16", "ViT-S/16", "ViT-small/16"} < set(list_names("vit", "S/16", 224))
    assert "ViT-S/32" not in list_names("vit", "R26+S/32", 224)  # which is another network
    assert "ViT-R26-S32" in list_names("vit", "R26+S/32", 224)
    assert list_names("vit", "Mini/4", 28) == ("mini", "ViT-mini/4", "Mini4", "ViT-Mini/4", "ViT-Mini4")
    for other in (None, "", "50", "x/y/z", "<b>/16"):
        assert list_names("cnn", other, 224) == ()
