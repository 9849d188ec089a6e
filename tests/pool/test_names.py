"""The grammar of the pool's file names: names that upstream quotes are read, others refused, the part pointed at."""

import pytest

from pipeline.base.fault import Fault
from pipeline.pool.names import VARIANTS, FineTuning, closest_name, parse, variant_token

S16 = "S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0"
TUNED = f"{S16}--imagenet2012-steps_20k-lr_0.03-res_224"
# Quoted by google-research/vision_transformer, timm and others; no name with kitti, resisc45 or 30 epochs is.
QUOTED = (
    "R50_L_32-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.1-sd_0.1--oxford_iiit_pet-steps_0k-lr_0.003-res_384",
    "L_16-i21k-300ep-lr_0.001-aug_strong1-wd_0.1-do_0.0-sd_0.0--cifar100-steps_2k-lr_0.01-res_384",
    "B_16-i1k-300ep-lr_0.001-aug_strong2-wd_0.1-do_0.1-sd_0.1--imagenet2012-steps_20k-lr_0.01-res_384",
    "B_8-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.01-res_224",
    "R_Ti_16-i21k-300ep-lr_0.001-aug_none-wd_0.03-do_0.0-sd_0.0",
    "Ti_16-i1k-300ep-lr_0.001-aug_light0-wd_0.1-do_0.0-sd_0.0",
)


def test_a_name_says_how_its_checkpoint_was_trained() -> None:
    recipe = parse("R26_S_32-i21k-300ep-lr_0.001-aug_light0-wd_0.03-do_0.1-sd_0.1--cifar100-steps_10k-lr_0.003-res_384")
    assert (recipe.variant, recipe.ds, recipe.epochs, recipe.lr) == ("R26+S/32", "i21k", 300, 0.001)
    assert (recipe.aug, recipe.wd, recipe.do, recipe.sd) == ("light0", 0.03, 0.1, 0.1)
    assert recipe.fine_tuning == FineTuning("cifar100", "10k", 0.003, 384)
    assert recipe.resolution == 384


@pytest.mark.parametrize("name", [S16, TUNED, *QUOTED])
def test_quoted_names_are_read(name: str) -> None:
    recipe = parse(name)
    assert recipe.name == name
    assert name.startswith(variant_token(recipe.variant) + "-")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("ds", ["kitti", "resisc45"])
def test_every_variant_and_data_set_is_read(variant: str, ds: str) -> None:
    recipe = parse(
        f"{variant_token(variant)}-i1k-300ep-lr_0.001-aug_none-wd_0.1-do_0.0-sd_0.0--{ds}-steps_2k-lr_0.01-res_224"
    )
    assert recipe.variant == variant
    assert recipe.fine_tuning == FineTuning(ds, "2k", 0.01, 224)


def test_only_pre_trained() -> None:
    recipe = parse(S16)
    assert recipe.fine_tuning is None
    assert recipe.resolution == 224


@pytest.mark.parametrize("given", [f"{TUNED}.npz", f"gs://vit_models/augreg/{TUNED}.npz", f"/data/{TUNED}"])
def test_files_and_addresses_are_names_too(given: str) -> None:
    assert parse(given).name == TUNED


@pytest.mark.parametrize("written", ["i21k-30ep", "i21k_30-30ep"])
def test_thirty_epochs_are_the_indexs_i21k_30(written: str) -> None:
    recipe = parse(S16.replace("i21k-300ep", written))
    assert (recipe.ds, recipe.epochs) == ("i21k_30", 30)


@pytest.mark.parametrize(
    ("old", "new", "message", "part"),
    [
        ("S_16", "S_17", "part 1 of its pre-training: expected one of Ti_16, S_32, ", "S_17"),
        ("S_16", "S/16", "part 1 of its pre-training", "16"),  # what follows a slash is the file's name
        ("i21k", "i22k", "part 2 of its pre-training: expected one of i1k, i21k, i21k_30, got 'i22k' (did you", "i22k"),
        ("300ep", "300", "part 3 of its pre-training: expected <epochs>ep, such as 300ep, got '300'", "300"),
        ("lr_0.001-", "lr_x-", "part 4 of its pre-training: expected a learning rate", "lr_x"),
        ("aug_light1", "agu_light1", "part 5 of its pre-training: expected one of aug_none, ", "agu_light1"),
        ("aug_light1", "aug_light9", "got 'aug_light9' (did you mean 'light1'?)", "aug_light9"),
        ("wd_0.03", "wd_", "part 6 of its pre-training: expected a weight decay", "wd_"),
        ("do_0.0", "do_1.5", "part 7 of its pre-training: expected a dropout rate from 0 to below 1", "do_1.5"),
        ("sd_0.0", "sd_0.0-x_1", "its pre-training has 8 parts, expected nothing after, got 'x_1'", "x_1"),
        ("--", "-", "its pre-training has 8 parts, expected nothing after, got 'imagenet2012-steps", "imagenet2012-"),
        ("imagenet2012", "imagenet", "part 1 of its fine-tuning: expected one of imagenet2012, ", "imagenet"),
        ("steps_20k", "steps_20", "part 2 of its fine-tuning: expected thousands of steps", "steps_20"),
        ("lr_0.03", "lr0.03", "part 3 of its fine-tuning: expected a learning rate", "lr0.03"),
        ("res_224", "res_256", "part 4 of its fine-tuning: expected res_224 or res_384, got 'res_256'", "res_256"),
        ("-res_224", "", "its fine-tuning ends before part 4, expected res_224 or res_384", ""),
        ("imagenet2012-steps_20k-lr_0.03-res_224", "", "part 1 of its fine-tuning: expected one of imagenet2012", ""),
    ],
)  # fmt: skip
def test_another_name_is_refused_and_its_part_pointed_at(old: str, new: str, message: str, part: str) -> None:
    with pytest.raises(Fault) as raised:
        parse(TUNED.replace(old, new))
    sentence, name, finger = str(raised.value).split("\n")
    assert sentence.startswith("cannot parse the checkpoint's name: ")
    assert message in sentence
    assert name[finger.index("^") :].startswith(part)
    assert finger.count("^") >= max(1, len(part))


def test_the_closest_name_shares_the_most_parts() -> None:
    other = TUNED.replace("S_16", "B_16").replace("light1", "light0")
    near = TUNED.replace("lr_0.03", "lr_0.01")
    assert closest_name(TUNED, [other, near]) == near
    assert closest_name(TUNED, []) is None
