"""Pages of a model of another image size than its checkpoint: what others report of that is not quoted."""

import dataclasses
import json

import pytest

from pipeline.base import yaml_sections
from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.verification import Verification
from pipeline.cards.collection_page import check_collection, list_member, render_collection
from pipeline.cards.hugging_face import readme
from pipeline.cards.kaggle import model_metadata
from pipeline.facts.accuracy import AgainstReported
from pipeline.facts.collection import Module
from pipeline.facts.report import Report
from pipeline.proof import ladder
from tests.card_facts import VIT, checked_files, seed_records
from tests.reports import QUOTED, ROOT, with_accuracy, with_measured, with_model, with_weights

ROW = "reported | does not apply | reported accuracies are of the checkpoint at 224x224 pixels; for 384x384 its"
REASON = "the reported figure is not comparable, because it is about the checkpoint at 224x224 pixels"


@pytest.fixture
def original(report: Report) -> Report:
    """The report of a model with a reported accuracy, of its checkpoint's image size."""
    report = with_measured(report, against_reported=AgainstReported(QUOTED.top1, QUOTED.source, True, "as reported"))
    return with_model(with_accuracy(report, reported=QUOTED), image_size=384)


@pytest.fixture
def resized(original: Report) -> Report:
    against = AgainstReported(QUOTED.top1, QUOTED.source, None, REASON)
    return with_model(with_measured(original, against_reported=against), checkpoint_image_size=224)


def test_every_card_says_that_quoted_accuracies_do_not_apply(resized: Report, original: Report) -> None:
    texts = checked_files(seed_records(resized))
    assert len(texts) > 2
    kaggle = json.loads(model_metadata(seed_records(resized)[Head.CLASSIFICATION]))["description"]
    for text in (*(text for path, text in texts.items() if path.suffix == ".md"), kaggle):
        assert ROW in text
        assert "with the resized position embedding |" in text
        assert "80.46" not in text
        assert "quoted" not in text
    card = readme(seed_records(resized)[Head.FE])
    assert (
        "The checkpoint is one for 224x224 pixels, whose position embedding was resized linearly for 384x384." in card
    )
    assert "bit for bit, but for the position embedding, which was resized. They" in kaggle
    before = "".join(checked_files(seed_records(original)).values())
    assert "80.46 % | quoted: the paper" in before
    assert ROW not in before


def test_the_table_of_a_collection_has_no_figure(resized: Report, original: Report) -> None:
    module = yaml_sections.load(ROOT / "model_cards/vit/vit_s16.yaml", "module", Module)
    reports = [resized, original, with_weights(resized, Verification.UNVERIFIED)]
    members = [list_member(VIT, f"model_{number}", module, report) for number, report in enumerate(reports)]
    own = dataclasses.replace(VIT, overview="They are models.", about="They are models.")
    text = render_collection(own, members)
    check_collection(text, own, reports, "collection.md")
    cells = [line.split(" | ")[-2] for line in text.splitlines() if line.startswith("| [")]
    assert cells == ["none: resized from 224 pixels", "80.46 %", "none: unverified weights"]


def test_a_text_that_quotes_the_figure_is_refused(resized: Report, original: Report) -> None:
    note = "The checkpoint reaches 80.46 %."
    assert checked_files(seed_records(original, note=note))
    with pytest.raises(Fault, match=r"'80.46 %' is an accuracy that others report, of the checkpoint at 224 pixels"):
        checked_files(seed_records(resized, note=note))


def test_a_text_may_name_both_image_sizes(resized: Report, original: Report) -> None:
    trained = "The model was fine-tuned on images of 224x224 pixels."
    assert checked_files(seed_records(resized, note=trained))
    for report, note in ((original, trained), (resized, "The model takes images of 224x224 pixels.")):
        with pytest.raises(Fault, match="224x224"):
            checked_files(seed_records(report, note=note))


def test_the_reported_figure_is_not_measured_against(resized: Report) -> None:
    (rung,) = (rung for rung in ladder.rungs(resized) if rung.rung == "reported")
    assert (rung.verdict, rung.reason) == ("not measured", REASON)
