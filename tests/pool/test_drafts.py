"""Names and sources of new members."""

import itertools

from pipeline.pool.drafts import TIMM_COPIES, collection_name, long_name, member_name, sources_of
from pipeline.pool.members import read_members
from pipeline.pool.names import FINE_TUNING, parse
from tests.conftest import ROOT
from tests.timm_copies import TIMM_COPIES_OF_THE_SEVEN

S16 = "S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0"
TUNED = f"{S16}--imagenet2012-steps_20k-lr_0.01-res_224"


def test_sources_are_the_bucket_and_timms_copy_where_there_is_one() -> None:
    sources = {member: sources_of(checkpoint) for member, checkpoint in read_members(ROOT / "model_cards/vit").items()}
    assert {first for first, *_ in sources.values()} == {"gs://vit_models/augreg/{name}.npz"}
    copies = {member: others for member, (_, *others) in sources.items()}
    assert copies == TIMM_COPIES_OF_THE_SEVEN


def test_every_copy_of_timms_is_of_a_file_of_the_pool() -> None:
    lines = TIMM_COPIES.read_text().splitlines()
    names, models = zip(*(line.split("\t") for line in lines), strict=True)
    assert len(set(names)) == len(set(models)) == len(lines) == 35
    for name, model in zip(names, models, strict=True):
        recipe = parse(name)
        assert f"_{recipe.resolution}." in model
        kind = {"i1k": ".augreg_in1k", "i21k": ".augreg_in21k"}[recipe.ds]
        assert model.endswith(kind + ("_ft_in1k" if recipe.fine_tuning and recipe.ds == "i21k" else ""))


def test_names_are_as_different_as_the_checkpoints() -> None:
    pretrained = [S16.replace("i21k", ds) for ds in ("i1k", "i21k")]
    fine_tuned = [
        f"{checkpoint}--{ds}-steps_2k-lr_0.01-res_384" for ds, checkpoint in itertools.product(FINE_TUNING, pretrained)
    ]
    recipes = [parse(name) for name in pretrained + fine_tuned]
    assert len({member_name(recipe) for recipe in recipes}) == len(recipes)
    assert len({collection_name(recipe) for recipe in recipes}) == len(recipes)
    assert member_name(parse(S16.replace("i21k", "i1k"))) == "vit_s16_i1k"
    assert long_name(parse(TUNED)) == "vit_s16_light1_wd003_do00_sd00_20k_lr001"
