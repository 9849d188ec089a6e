"""What pages say of their models in words: false statements are refused, other sentences are left alone."""

import pytest

from pipeline.cards.agreement import Models, page_problems, text_problems, title_problems
from pipeline.cards.page import parse_page

MODELS = Models(
    sizes=frozenset({224}),
    variants=frozenset({"S/16", "R26+S/32"}),
    parameters=frozenset({22_050_664, 21_665_664}),
    dataset="ImageNet-1k",
    license="apache-2.0",
)
TRUE = (
    "The models were fine-tuned at a resolution of 224.",
    "They take images of 224x224 pixels.",
    "pre-trained on ImageNet-21k and fine-tuned on ImageNet-1k [2] by the authors of [3], who published it",
    "trained on ImageNet-21k, then fine-tuned on ImageNet-1k",
    "pre-trained and fine-tuned on ILSVRC 2012",
    "Fine-tuned at 224 x 224 pixels, pre-trained at 384x384.",
    "pre-trained at 192x192 pixels",
    "An Image is Worth 16x16 Words",
    "It cuts an image into patches of 16x16 pixels.",
    "The photographs were originally 512x512 pixels.",
    "Training images were shifted by up to 16 pixels.",
    "It has 22 million parameters.",
    "22.0M parameters, 22.1 million parameters",
    "a 22M-parameter model",
    "Without its head it has 21,665,664 parameters.",
    "The weights are under the Apache licence 2.0.",
    "Their training images are under the MIT licence.",
    "The code is under the MIT licence.",
    "a second R26+S/32, trained with more augmentation",
    "ViT-R26-S32 was trained longest.",
    "It is smaller than L/16, which has 300 million parameters.",
    "fine-tuned on 1,000 classes, starting from weights for CIFAR-10",
    "Its images look like those of CIFAR-10.",
    "Trained by its authors and tested on CIFAR-10, among others.",
    "With more training it reaches 98 % on CIFAR-10.",
    "When fine-tuning, results are best at a higher resolution (384x384).",
    "It is a fine-tuned version of google/vit-small-patch16-384.",
    "Compare it with the model that was trained on CIFAR-10.",
)
FALSE = (
    ("They take RGB images of 28x28 pixels in the range [-1, 1].", "names 28x28, but the input is of 224x224 pixels"),
    ("It takes images of 384 \u00d7 384 pixels.", "names 384 \u00d7 384, but"),
    ("It takes 384-pixel images.", "names 384-pixel, but"),
    ("The models were fine-tuned at resolution 384.", "names resolution 384, but"),
    ("trained on Fashion-MNIST, for a demonstration", "names Fashion-MNIST, but the data set is ImageNet-1k"),
    ("trained from scratch on the 60,000 training images of Fashion-MNIST [2]", "names Fashion-MNIST, but"),
    ("pre-trained on ImageNet-1k and fine-tuned on ImageNet-21k", "names ImageNet-21k, but"),
    ("pre-trained on ImageNet-21k and fine-tuned on CIFAR-100", "names CIFAR-100, but"),
    ("It has 86 million parameters.", "names '86 million parameters', but there are 21,665,664 or 22,050,664"),
    ("It has 86,567,656 parameters.", "names '86,567,656 parameters', but"),
    ("It is the L/16 of the family.", "names L/16, but the architecture is R26+S/32 or S/16"),
    ("Inputs are 28x28.", "names 28x28, but"),
    ("Input images must have 28 by 28 pixels.", "names 28 by 28, but"),
    ("Images are resized to 28x28 pixels.", "names 28x28, but"),
    ("The models were trained on grey images of 28x28 pixels.", "names 28x28, but"),
    ("These are, at 384x384 pixels, the best ones.", "names 384x384, but"),
    ("These are the best of their architecture, and a second L/16.", "names L/16, but"),
    ("A Vision Transformer with 86M parameters", "names '86M parameters', but"),
    ("The weights are under the MIT licence.", "names the licence MIT, but that of the weights is apache-2.0"),
    ("They are licensed under CC BY-NC 4.0.", "names the licence CC BY, but"),
)


# A collection of one's own, fine-tuned from somebody else's weights.
OWN = Models(
    sizes=frozenset({384}),
    variants=frozenset({"S/16"}),
    parameters=frozenset({22_050_664}),
    dataset="chest X-rays",
    license="cc-by-nc-4.0",
)
OF_OTHER_THINGS = (
    # What the training started from
    "The model was fine-tuned from a checkpoint trained on ImageNet-21k.",
    "It was initialised with weights trained on ImageNet-1k.",
    "Starting from weights that others had trained on ImageNet-21k, we tuned all of it.",
    "The backbone was trained on ImageNet-21k and frozen.",
    "trained on ImageNet-21k before fine-tuning on chest X-rays",
    "Trained on COCO, BigEarthNet and X-rays of our own",
    "Trained on tiles, as in EuroSAT.",
    "It was trained at 224x224 pixels first.",
    "Position embeddings were interpolated from 224x224.",
    "For the first 10 epochs images had 128x128 pixels.",
    "The original weights were under the Apache licence.",
    "Those that they were fine-tuned from are under the Apache licence.",
    "The model was converted with a library under the MIT licence.",
    "The model was made at MIT under a grant.",
    # Images as they were
    "Chest X-rays are 1024x1024; they were resized.",
    "Images were acquired at 2048x2048 with a scanner.",
    "Slices of 512x512 pixels were used.",
    "A lesion of 20 pixels is hardly visible.",
    "Objects should be at least 50 pixels wide.",
    "Images below 100x100 pixels are classified badly.",
    "trained on the 50,000 32x32 images of CIFAR-10 and on chest X-rays",
    # Inside the model
    "The model uses 2x2 pooling of the last 24x24 tokens.",
    "It knows 28 classes, and cuts images into 16x16 patches.",
    "The head has 1,538 parameters.",
    "Only 5 million parameters were tuned, the rest was frozen.",
    # Other models
    "For 224x224 pixels, use vit_s16.",
    "The 224x224 versions are in another collection.",
    "See also the ViT-B/16 of this publisher.",
    "The ViT-B/16 is more accurate and slower.",
    "It needs half the time of a B/16.",
    "ViT-L/16 has 307 million parameters.",
    # Other languages
    "Das Modell teilt die Bilder in Felder von 16x16 Pixeln.",
    "Die Originale haben 4000x4000 Pixel.",
)


@pytest.mark.parametrize("sentence", OF_OTHER_THINGS)
def test_a_sentence_on_other_things_than_the_models_is_left_alone(sentence: str) -> None:
    assert list(text_problems(sentence, OWN)) == []


@pytest.mark.parametrize("sentence", TRUE)
def test_a_true_sentence_or_one_about_something_else_is_left_alone(sentence: str) -> None:
    assert list(text_problems(sentence, MODELS)) == []


@pytest.mark.parametrize(("sentence", "message"), FALSE)
def test_a_false_sentence_is_refused(sentence: str, message: str) -> None:
    (problem,) = text_problems(f"It is a model.\nIt works. {sentence}", MODELS)
    assert problem.line == 2
    assert f"{sentence!r} {message}" in problem.text
    assert problem.text.endswith("; correct it")


def test_architectures_of_other_families_are_not_taken_for_vision_transformers() -> None:
    mixer = Models(variants=frozenset({"Mixer-B/16"}))
    for sentence in ("It is the Mixer-B/16 of its family.", "It is the B/16.", "Its teacher is a DeiT-L/16."):
        assert list(text_problems(sentence, mixer)) == []
    assert list(text_problems("It is the S/16.", mixer)) != []


VIT_B16 = Models(variants=frozenset({"B/16"}), families=frozenset({"vit"}))
MIXER_B16 = Models(variants=frozenset({"B/16"}), families=frozenset({"mixer"}))
NAMES_OF_MIXERS = ("It is a Mixer-B/16.", "They are MLP-Mixer B/16.", "It is the MLP-Mixer-B/16.", "It is Mixer-B16.")


@pytest.mark.parametrize("sentence", NAMES_OF_MIXERS)
def test_the_family_of_an_architecture_is_compared(sentence: str) -> None:
    assert list(text_problems(sentence, MIXER_B16)) == []
    (problem,) = text_problems(sentence, VIT_B16)
    assert ", but the architecture is B/16 (vit); correct it" in problem.text
    assert list(text_problems(sentence.replace("MLP-", "").replace("Mixer", "ViT"), MIXER_B16))
    assert list(text_problems(sentence.replace("16", "32"), MIXER_B16))


@pytest.mark.parametrize(
    "sentence",
    ["It is a Vision Transformer B/16.", "It is the B/16.", "It is the other B/16.", "It is B/16.", "It is DeiT-L/16."],
)
def test_a_variant_without_a_known_family_may_be_of_any(sentence: str) -> None:
    for models in (VIT_B16, MIXER_B16):
        assert list(text_problems(sentence, models)) == []


@pytest.mark.parametrize(
    ("name", "models", "message"),
    [
        ("mixer_b16", MIXER_B16, None),
        ("vit_b16", VIT_B16, None),
        ("cifar_b16", VIT_B16, None),
        ("mixer_b16", VIT_B16, "'mixer_b16' names mixer_b16, but the architecture is B/16 (vit)"),
        ("mixer_l16_224", MIXER_B16, "'mixer_l16_224' names l16, but the architecture is B/16"),
        ("Mixer-L16", MIXER_B16, "'Mixer-L16' names Mixer-L16, but the architecture is B/16"),
    ],
)
def test_a_name_of_another_family_is_refused(name: str, models: Models, message: str | None) -> None:
    assert list(title_problems(name, models)) == ([message] if message else [])


def test_what_is_not_known_is_not_compared() -> None:
    for sentence, _ in FALSE:
        assert list(text_problems(sentence, Models())) == []


def test_sections_that_authors_do_not_write_may_name_other_models() -> None:
    page = parse_page(
        "# Module a/b/1\n\nA model.\n\n## Tested versions\n\nS/16 and L/16 of 28x28 pixels.\n\n"
        "## Usage\n\nIt takes\nimages of 28x28 pixels.\n\n```python\nsize = 28  # 28x28 pixels\n```\n\n"
        "## References\n\n[1] Images of 28x28 pixels\n"
    )
    assert [problem.line for problem in page_problems(page, MODELS)] == [11]


@pytest.mark.parametrize(
    ("title", "message"),
    [
        ("ViT-L16", "names ViT-L16, but the architecture is R26+S/32 or S/16"),
        ("ViT-S16 on CIFAR-10", "names CIFAR-10, but the data set is ImageNet-1k"),
        ("ViT-S16, 384 pixels", "names 384 pixels, but the input is of 224x224 pixels"),
        ("ViT-S16-384", "names 384, but the input is of 224x224 pixels"),
        ("vit_b16_224", "names b16, but the architecture is"),
    ],
)
def test_a_false_title_is_refused(title: str, message: str) -> None:
    (problem,) = title_problems(title, MODELS)
    assert f"{title!r} {message}" in problem


@pytest.mark.parametrize(
    "title",
    [
        "Run-256 of 480",
        "ViT-S16-224 of 384 kinds",
        "ViT-S16",
        "ViT-R26-S32 (light augmentation)",
        "S/16 on ImageNet",
        "vit_s16_224",
        "Shapes",
    ],
)
def test_a_true_title_is_left_alone(title: str) -> None:
    assert list(title_problems(title, MODELS)) == []


def test_the_number_in_a_data_sets_name_is_no_size() -> None:
    models = Models(sizes=frozenset({224}), variants=frozenset({"S/16"}), dataset="Caltech-256")
    for title in ("ViT-S16 Caltech-256", "vit_s16_caltech_256", "vit_s16_224_caltech_256"):
        assert list(title_problems(title, models)) == []
