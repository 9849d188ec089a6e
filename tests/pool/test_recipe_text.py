"""How a checkpoint was trained, as its name says."""

import pytest

from pipeline.pool.recipe_text import describe_recipe

S16 = "S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.03-res_224"


def test_a_name_of_the_pool_tells_the_recipe() -> None:
    assert describe_recipe(S16) == (
        "The checkpoint's name says that it was pre-trained for 300 epochs on ImageNet-21k, with augmentation `light1`,"
        " learning rate 0.001, weight decay 0.03, no dropout and no stochastic depth. It was then fine-tuned on"
        " ImageNet-1k for about 20,000 steps at 224x224 pixels, with learning rate 0.03."
    )


def test_a_checkpoint_that_was_only_pre_trained() -> None:
    text = describe_recipe("Ti_16-i1k-300ep-lr_0.001-aug_none-wd_0.1-do_0.1-sd_0.1")
    assert text is not None
    assert "with no augmentation" in text
    assert text.endswith("weight decay 0.1, dropout 0.1 and stochastic depth 0.1.")


def test_few_steps_are_not_called_none() -> None:
    text = describe_recipe(S16.replace("imagenet2012-steps_20k", "kitti-steps_0k"))
    assert text is not None
    assert "for fewer than 1,000 steps" in text


@pytest.mark.parametrize("name", ["vit_demo", "ViT-B_16", "S_16-i21k"])
def test_other_names_tell_nothing(name: str) -> None:
    assert describe_recipe(name) is None
