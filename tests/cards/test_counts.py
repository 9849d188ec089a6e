"""Counts on a collection's page: those that differ from its list are refused."""

import pytest

from pipeline.cards.counts import collection_problems
from pipeline.cards.page import parse_page
from pipeline.collection import page as collection_page
from pipeline.facts.collection import read_collection
from tests.reports import REPORT
from tests.test_card import VIT, reports_of

VITS = {"Vision Transformer"}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("artifacts")
    reports_of(VIT, folder, REPORT)
    return collection_page(read_collection(VIT / "collection.yaml"), VIT, folder)


def test_a_rendered_collection_agrees_with_itself(collection: str) -> None:
    assert collection_problems(parse_page(collection), VITS) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("contains seven Vision", "contains eight Vision", "'eight Vision Transformers', but the page lists seven"),
        ("contains seven Vision", "contains 8 new\nVision", "'8 new Vision Transformers', but the page lists seven of"),
        ("Collection of seven", "Collection of six", "3: 'six Vision Transformers', but the page lists seven of them"),
        ("as 14 modules", "as 16 modules", "'16 modules', but the page lists 14 of them; correct the"),
        ("as 14 modules", "as sixteen modules", "'sixteen modules', but the page lists 14 of them; correct the"),
        ("Each model comes", "There are eight models. Each comes", "'eight models', but the page lists seven of"),
        ("Each model comes", "Each of these eight models comes", "'eight models', but the page lists seven of"),
        ("Each model comes", "Each is small. The eight models come", "'eight models', but the page lists seven of"),
        ("about 50,000", "eight of the best", "'eight of the best Vision Transformers', but the page lists seven"),
        ("* [ViT-S16](../../vit_s16_fe/2.md)\n", "", "7 image classifiers and 6 feature extractors, expected as many"),
        ("vit_l16_fe", "vit_b16_fe", "'Feature extractors' lists '../../vit_b16_fe/2.md' twice"),
    ],
)  # fmt: skip
def test_a_count_that_differs_from_its_list_is_refused(collection: str, old: str, new: str, message: str) -> None:
    """The reference collection's page had "eight" in one sentence and "seven" in another."""
    assert old in collection
    problems = collection_problems(parse_page(collection.replace(old, new)), VITS)
    assert message in "\n".join(f"{problem.line}: {problem.text}" for problem in problems)


def test_numbers_that_count_something_else_pass(collection: str) -> None:
    text = (
        "Each model comes in two forms. Over 400 models were trained; one of the models is best. It has 16 layers.\n"
        "It is faster than three models of others, compared with five classifiers; we tried 12 models.\n"
        "Every checkpoint gives one image classifier and one feature extractor, two modules per model.\n\n"
    )
    assert (
        collection_problems(
            parse_page(collection.replace("## About the models\n\n", f"## About the models\n\n{text}")), VITS
        )
        == []
    )


def test_models_of_several_families_are_counted_as_models_alone(collection: str) -> None:
    page = parse_page(collection.replace("Collection of seven", "Two Vision Transformers, a collection of seven"))
    assert len(collection_problems(page, VITS)) == 1
    assert collection_problems(page, {"Vision Transformer", "MLP-Mixer"}) == []
