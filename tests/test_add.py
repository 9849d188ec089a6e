"""The command add: the stages accept the files that it writes, and what they say of a checkpoint is true."""

import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.accuracy.section import Evaluation, images_of
from pipeline.add import LISTED, Added, add, add_list, main
from pipeline.base import yaml_sections
from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.yaml_sections import Member
from pipeline.collection import page
from pipeline.dag.members import images_text, read_sections
from pipeline.dag.settings import Settings
from pipeline.facts.accuracy import Reported
from pipeline.facts.collection import Module, read_collection
from pipeline.facts.report import Report
from pipeline.images import labels
from pipeline.model.facts import describe_model
from pipeline.model.section import Model
from pipeline.model.vit.variants import variant
from pipeline.pool import datasets
from pipeline.pool.criteria import read_criteria
from pipeline.pool.drafts import collection_name
from pipeline.pool.index import UPSTREAM, Index
from pipeline.pool.names import FINE_TUNING, PRETRAINING, VARIANTS, parse, variant_token
from tests.card_facts import cards
from tests.conftest import ROOT, Stage, copy_project, make, serving_folder
from tests.pool.rows import ROW, write_index
from tests.reports import not_measured, with_model, write_report

S16 = "S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0"
TUNED = f"{S16}--imagenet2012-steps_20k-lr_0.01-res_224"
B8 = "B_8-i21k-300ep-lr_0.001-aug_medium2-wd_0.1-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.01-res_224"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The collection of the seven, and the label files."""
    for name in ("vit", "labels"):
        shutil.copytree(ROOT / "model_cards" / name, tmp_path / "model_cards" / name)
    return tmp_path / "model_cards"


def fine_tuned(ds: str, pretrained: str = S16, resolution: int = 224) -> str:
    return f"{pretrained}--{ds}-steps_2k-lr_0.01-res_{resolution}"


def read_member(added: Added) -> dict[str, Any]:
    facts: dict[str, Any] = yaml.safe_load(added.files[-1].read_text())
    return facts


def card_of(added: Added, report: Report) -> str:
    """Returns the classifier's card as it would be published, from a report with the member's own model in it."""
    path = added.files[-1]
    model = yaml_sections.load(path, "model", Model)
    report = with_model(report, **describe_model(model))
    evaluation = yaml_sections.load(path, "evaluation", Evaluation)
    reported = Reported(**vars(evaluation.reported)) if evaluation.reported else None
    report = not_measured(report, f"its publisher had no images of {evaluation.dataset} at hand", reported)
    collection = read_collection(path.with_name("collection.yaml"))
    module = yaml_sections.load(path, "module", Module)
    return cards(path.stem, module, collection, "http://h", report, {"name": "x"})[Head.CLASSIFICATION]


@pytest.mark.parametrize("resolution", [224, 384])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_at_both_resolutions_becomes_a_member(folder: Path, name: str, resolution: int) -> None:
    pretrained = S16.replace("S_16", variant_token(name)).replace("aug_light1", "aug_strong2")
    added = add(fine_tuned("imagenet2012", pretrained, resolution), folder, None, None, None)
    model = yaml_sections.load(added.files[-1], "model", Model)
    assert (model.variant, model.image_size, model.classes, model.dropout) == (name, resolution, 1000, 0.0)
    assert resolution % variant(name).stride == 0
    assert added.collection == "augreg_i21k_imagenet2012"
    usual = "vit_" + variant_token(name.replace("/", "")).lower() + ("_384" if resolution == 384 else "")
    exists = (folder / f"vit/{usual}.yaml").exists()
    assert added.member == usual + ("_strong2_wd003_do00_sd00_2k_lr001" if exists else "")


@pytest.mark.parametrize("ds", [*FINE_TUNING, None])
@pytest.mark.parametrize("pretraining", PRETRAINING)
def test_every_data_set_has_its_own_classes_and_pages(
    folder: Path, pretraining: str, ds: str | None, report: Report
) -> None:
    pretrained = S16.replace("i21k-300ep", "i21k-30ep" if pretraining == "i21k_30" else f"{pretraining}-300ep")
    added = add(fine_tuned(ds, pretrained) if ds else pretrained, folder, None, None, None)
    model = yaml_sections.load(added.files[-1], "model", Model)
    classes = {"imagenet2012": 1000, "cifar100": 100, "kitti": 4, "oxford_iiit_pet": 37, "resisc45": 45}
    assert model.classes == (classes[ds] if ds else 1000 if pretraining == "i1k" else 21_843)
    assert model.labels
    assert len(labels.read(added.files[-1].parent / model.labels, model.classes)) == model.classes
    dataset = datasets.FINE_TUNING[ds] if ds else datasets.PRETRAINING[pretraining]
    card = card_of(added, report)
    assert f"Each logit stands for a class of {dataset.name}." in card
    assert f"<!-- dataset: {dataset.tag} -->" in card
    assert ("ImageNet-21k" in card) == (pretraining != "i1k")
    assert ("fine-tuned on" in card) == (ds is not None)
    assert ("for 30 epochs" in card) == (pretraining == "i21k_30")
    assert ("tf.nn.softmax" in card) == (ds is not None)
    assert ("tf.nn.sigmoid" in card) == (ds is None)
    assert f"| not measured | its publisher had no images of {dataset.evaluation} at hand |" in card
    assert "quoted: " not in card
    assert "\n\n\n" not in card
    evaluation = yaml_sections.load(added.files[-1], "evaluation", Evaluation)
    assert evaluation.imagenet == (dataset.name == "ImageNet-1k")


def test_the_pages_of_a_new_collection_render(folder: Path, tmp_path: Path, report: Report) -> None:
    for resolution in (224, 384):
        added = add(fine_tuned("cifar100", resolution=resolution), folder, None, None, None)
        model = with_model(report, variant="S/16", image_size=resolution)
        write_report(tmp_path / added.member / "report.json", model)
    home = added.files[-1].parent
    text = page(read_collection(home / "collection.yaml"), home, tmp_path)
    assert text.startswith(
        "# Collection vit-publisher/augreg_i21k_cifar100/1\n\nCollection of two Vision Transformers pre"
    )
    assert "[ViT-S16 on CIFAR-100](../../vit_s16_cifar100_classification/1.md)" in text
    assert "[ViT-S16 on CIFAR-100, 384 pixels](../../vit_s16_cifar100_384_fe/1.md)" in text


def test_a_row_of_the_index_gives_the_reported_accuracy_and_the_gate(folder: Path, report: Report) -> None:
    row = ROW._replace(adapt_filename=TUNED, adapt_final_test=0.80123)
    added = add(f"gs://vit_models/augreg/{TUNED}.npz", folder, None, None, Index((row,), UPSTREAM))
    facts = read_member(added)
    assert facts["checkpoint"]["name"] == TUNED
    source = "column adapt_final_test of gs://vit_models/augreg/index.csv"
    assert facts["evaluation"]["reported"] == {"top1": 0.80123, "source": source}
    assert facts["evaluation"]["minimum_top1"] == 0.771
    assert f"| top-1 accuracy, reported | 80.12 % | quoted: {source} |" in card_of(added, report)
    assert not added.notes


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        (None, "# There was no index (INDEX=), so there is no reported accuracy"),
        (
            Index((ROW._replace(adapt_filename=TUNED, adapt_final_test=math.nan),), UPSTREAM),
            "# The index has no accuracy of this checkpoint, so there is none",
        ),
    ],
)
def test_without_a_figure_none_is_reported_and_the_file_says_so(folder: Path, pool: Index | None, words: str) -> None:
    added = add(TUNED, folder, None, None, pool)
    assert words in added.files[-1].read_text()
    evaluation = yaml_sections.load(added.files[-1], "evaluation", Evaluation)
    assert evaluation.reported is None
    assert evaluation.minimum_top1 == 0
    assert ("no index (INDEX=), so no reported accuracy was written" in added.notes) == (pool is None)


def test_a_made_up_index_is_never_quoted_as_upstreams(folder: Path) -> None:
    added = add(TUNED, folder, None, None, Index((ROW._replace(adapt_filename=TUNED),), UPSTREAM, synthetic=True))
    assert read_member(added)["evaluation"]["reported"]["source"] == "column adapt_final_test of a made-up index"


def test_a_figure_is_quoted_from_the_index_it_stands_in(folder: Path, tmp_path: Path, stage: Stage) -> None:
    path = write_index(tmp_path, ROW._replace(adapt_filename=TUNED)).rename(tmp_path / 'my "own": #1.csv')
    options = ("--cards", folder, "--kept", tmp_path / "kept.csv", "--cache", tmp_path / "cache")
    done = stage("add", TUNED, "--index", path, *options, "--name", "mine")
    assert done.returncode == 0, done.stderr
    source = 'column adapt_final_test of my "own": #1.csv, an unverified copy of the pool\'s index'
    home = folder / "augreg_i21k_imagenet2012"
    assert yaml.safe_load((home / "mine.yaml").read_text())["evaluation"]["reported"]["source"] == source
    (home / "mine.yaml").unlink()
    with serving_folder(tmp_path) as address:
        path.rename(tmp_path / "index.csv")
        secret = address.replace("http://", "http://me:secret@") + "/index.csv?signature=secret"
        done = stage("add", TUNED, "--index", secret, *options, "--name", "theirs")
        assert done.returncode == 0, done.stderr
    source = f"column adapt_final_test of {address}/index.csv"
    assert yaml.safe_load((home / "theirs.yaml").read_text())["evaluation"]["reported"]["source"] == source
    (home / "theirs.yaml").unlink()
    done = stage("add", TUNED, *options, "--name", "nobodys")  # an index named once is not kept for the next call
    assert "note: no index (INDEX=), so no reported accuracy was written" in done.stdout


def test_a_pre_trained_checkpoint_takes_its_figure_from_its_own_column(folder: Path) -> None:
    added = add(S16, folder, None, None, Index((ROW._replace(filename=S16, final_test=0.4724),), UPSTREAM))
    reported = read_member(added)["evaluation"]["reported"]
    assert reported == {"top1": 0.4724, "source": "column final_test of gs://vit_models/augreg/index.csv"}
    assert added.member == "vit_s16_i21k"


def test_dropout_is_the_one_of_the_name(folder: Path) -> None:
    added = add(TUNED.replace("do_0.0-sd_0.0", "do_0.1-sd_0.1"), folder, None, None, None)
    assert yaml_sections.load(added.files[-1], "model", Model).dropout == 0.1


def test_a_collection_takes_what_its_criteria_say(folder: Path) -> None:
    row = ROW._replace(name="B/8", adapt_filename=B8, adapt_final_test=0.85948)
    added = add(B8, folder, "vit", None, Index((row,), UPSTREAM))
    assert added.files == (folder / "vit/vit_b8.yaml",)
    assert read_member(added)["model"]["labels"] == "imagenet2012.tsv"
    assert read_member(added)["module"]["title"] == "ViT-B8"


def test_without_an_index_the_minimum_is_not_checked_and_a_note_says_so(folder: Path) -> None:
    assert "not checked without an index: adapt_final_test is at least 0.75" in add(B8, folder, "vit", None, None).notes


@pytest.mark.parametrize(
    ("checkpoint", "accuracy", "reason"),
    [
        (TUNED.replace("res_224", "res_384"), 0.8, "it has adapt_resolution 384, its members have 224"),
        (TUNED.replace("i21k", "i1k"), 0.8, "it has ds i1k, its members have i21k"),
        (fine_tuned("cifar100"), 0.8, "it has adapt_ds cifar100, its members have imagenet2012"),
        (S16, 0.8, "it has adapt_ds none, its members have imagenet2012"),
        (TUNED, 0.74, "it has adapt_final_test 0.74, its members have at least 0.75"),
    ],
)
def test_a_collection_of_other_models_is_refused(folder: Path, checkpoint: str, accuracy: float, reason: str) -> None:
    row = ROW._replace(adapt_filename=checkpoint, filename=checkpoint, adapt_final_test=accuracy)
    message = refused(folder, checkpoint, "vit", None, Index((row,), UPSTREAM))
    assert f"{folder}/vit/collection.yaml: {checkpoint} does not belong in this collection" in message
    assert reason in message
    assert f"leave out COLLECTION= to add it to {collection_name(parse(checkpoint))}" in message


def refused(folder: Path, checkpoint: str, collection: str | None, name: str | None, pool: Index | None) -> str:
    """Adds, expects a fault and that nothing was written; returns the message."""
    before = sorted(folder.rglob("*"))
    with pytest.raises(Fault) as raised:
        add(checkpoint, folder, collection, name, pool)
    assert sorted(folder.rglob("*")) == before
    return str(raised.value)


def test_a_collection_that_does_not_say_what_it_holds_is_refused(folder: Path) -> None:
    shutil.copytree(ROOT / "model_cards/demo", folder / "demo", ignore=shutil.ignore_patterns("*test*"))
    assert "demo/collection.yaml: the collection has no section `selection`" in refused(
        folder, TUNED, "demo", None, None
    )


def test_members_that_exist_are_refused(folder: Path) -> None:
    member = yaml.safe_load((folder / "vit/vit_s16.yaml").read_text())["checkpoint"]["name"]
    message = refused(folder, member, None, "another", None)
    assert message == f"{folder}/vit/vit_s16.yaml: {member} is a member already; run make publish MODEL=vit_s16"
    message = refused(folder, TUNED, None, "vit_b32", None)
    assert message == f"{folder}/vit/vit_b32.yaml: this member exists, with another checkpoint; set NAME=<another name>"


def test_a_second_member_of_the_same_checkpoint_is_seen_and_kept(folder: Path) -> None:
    """An edited copy of a member has the same checkpoint, and its name sorts first."""
    text = (folder / "vit/vit_s16.yaml").read_text()
    mine = folder / "vit/mine.yaml"
    mine.write_text(text.replace("image_size: 224", "image_size: 384"))
    edited = mine.read_text()
    message = refused(folder, TUNED, "vit", "mine", None)
    assert message == f"{mine}: this member exists, with another checkpoint; set NAME=<another name>"
    assert mine.read_text() == edited
    (folder / "apart").mkdir()
    mine.rename(folder / "apart/mine.yaml")  # not a whole collection, but make sees its members too
    assert "apart/mine.yaml: this member exists" in refused(folder, TUNED, "apart", "mine", None)
    assert (folder / "apart/mine.yaml").read_text() == edited


def test_a_list_is_added_but_for_the_lines_that_cannot_be(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names, other = folder / "names.txt", fine_tuned("cifar100")
    names.write_text(f"\ufeff# the first run\r\n{TUNED}\r\n\r\nS_16-nonsense\r\n  {other}\r\n{TUNED}\r\n", "utf-8")
    with pytest.raises(Fault, match=r"^\S+names.txt: 1 of 4 checkpoints were not added:\n  line 4: .*S_16-nonsense"):
        add_list(names, folder, None, None, None)
    printed = capsys.readouterr().out.splitlines()
    assert printed[-3:] == [
        f"{names}: 4 checkpoints: 2 added, 1 members already, 1 not added",
        "next: make -k publish-all COLLECTION=augreg_i21k_imagenet2012",
        "next: make -k publish-all COLLECTION=augreg_i21k_cifar100",
    ]
    written = [path for name in ("imagenet2012", "cifar100") for path in (folder / f"augreg_i21k_{name}").iterdir()]
    assert len(written) == 4
    assert {Member(path).checkpoint_name() for path in written if path.stem != "collection"} == {TUNED, other}
    names.write_text(f"{TUNED}\n{other}\n")
    add_list(names, folder, None, None, None)
    assert capsys.readouterr().out == f"{names}: 2 checkpoints: 0 added, 2 members already, 0 not added\n"


def test_what_was_added_is_counted_where_the_system_ends_a_list(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = folder / "names.txt"
    (folder / "augreg_i21k_cifar100").write_text("a file where the folder of a collection would be")
    names.write_text(f"{TUNED}\n{fine_tuned('cifar100')}\n{TUNED}\n")
    with pytest.raises(OSError, match="augreg_i21k_cifar100"):
        add_list(names, folder, None, None, None)
    expected = f"{names}: 3 checkpoints: 1 added, 0 members already, 0 not added, 2 not reached\n"
    assert capsys.readouterr().out.endswith(expected)


def test_of_many_faulty_lines_the_first_are_named(folder: Path) -> None:
    names = folder / "names.txt"
    names.write_text("nonsense\n" * (LISTED + 2))
    with pytest.raises(Fault, match=f"line {LISTED}: .*\n  and 2 more$"):
        add_list(names, folder, None, None, None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"\xff\xfe", "it is not UTF-8 text"),
        (b"# nothing\n\n", "got no name"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused(folder: Path, content: bytes | None, reason: str) -> None:
    names = folder / "names.txt"
    if content is not None:
        names.write_bytes(content)
    with pytest.raises(Fault, match=f"^CHECKPOINT={names}: expected a list of checkpoints, one a line.*{reason}$"):
        add_list(names, folder, None, None, None)


def test_a_list_has_no_name_for_its_members(folder: Path) -> None:
    names = folder / "names.txt"
    names.write_text(TUNED)
    with pytest.raises(Fault, match=r"^NAME=mine: a list of checkpoints has several members; leave NAME out$"):
        main([str(names), "--name=mine", f"--cards={folder}"])


def test_where_the_usual_name_is_taken_the_hyper_parameters_follow(folder: Path) -> None:
    added = add(TUNED, folder, None, None, None)
    assert added.member == "vit_s16_light1_wd003_do00_sd00_20k_lr001"
    other = TUNED.replace("lr_0.001", "lr_0.002")  # which the long name does not tell apart
    assert "this member exists" in refused(folder, other, None, None, None)


@pytest.mark.parametrize(
    ("collection", "name", "message"),
    [
        (None, "Vit S16", "NAME=Vit S16: expected lower-case letters, digits and '_', such as vit_s16_light1"),
        (None, "collection", "NAME=collection: expected lower-case letters"),
        ("My/Models", "mine", "COLLECTION=My/Models: expected lower-case letters, digits, '_' and '-'"),
    ],
)
def test_names_that_cannot_be_handles_are_refused(
    folder: Path, collection: str | None, name: str, message: str
) -> None:
    assert message in refused(folder, TUNED, collection, name, None)


def test_a_checkpoint_the_index_does_not_have_is_refused_with_the_nearest(folder: Path) -> None:
    near = TUNED.replace("lr_0.01", "lr_0.03")
    rows = (ROW, ROW._replace(adapt_filename=near), ROW._replace(adapt_filename=B8))
    message = refused(folder, TUNED, None, None, Index(rows, UPSTREAM))
    assert f"the index has no checkpoint {TUNED}; the nearest of its 3 is {near}; check CHECKPOINT=" in message


def test_a_missing_label_file_is_refused(folder: Path) -> None:
    (folder / "labels/cifar100.tsv").unlink()
    assert "labels/cifar100.tsv: the label file of CIFAR-100 is missing" in refused(
        folder, fine_tuned("cifar100"), None, None, None
    )


def test_a_new_collection_may_have_any_name(folder: Path) -> None:
    added = add(fine_tuned("kitti"), folder, "mine", "near_or_far", None)
    assert [path.relative_to(folder).as_posix() for path in added.files] == [
        "mine/collection.yaml",
        "mine/near_or_far.yaml",
    ]
    collection = read_collection(added.files[0])
    assert collection.name == "mine"
    selection = read_criteria(added.files[0])
    assert (selection.ds, selection.adapt_ds) == ("i21k", "kitti")


def test_a_card_without_labels_says_so(folder: Path, report: Report) -> None:
    added = add(fine_tuned("cifar100"), folder, None, None, None)
    path = added.files[-1]
    path.write_text(re.sub(r"^  labels: .*\n", "", path.read_text(), flags=re.MULTILINE))
    card = card_of(added, report)
    assert "The module has no class names." in card
    assert "print(tf.math.top_k(tf.nn.softmax(logits[0]), 5))" in card


def test_imagenet_is_not_for_members_of_other_data_sets(folder: Path, tmp_path: Path) -> None:
    other, own = Evaluation("d", 0.0, imagenet=False), Evaluation("d", 0.0, images="images", imagenet=False)
    assert images_of(other, tmp_path, Path("/val")) is None
    assert images_of(own, tmp_path, Path("/val")) == tmp_path / "images"
    assert images_of(Evaluation("d", 0.0), tmp_path, Path("/val")) == Path("/val")
    cifar = add(fine_tuned("cifar100"), folder, None, None, None).files[-1]
    imagenet = add(TUNED, folder, None, "another", None).files[-1]
    settings = Settings(imagenet="/val")
    assert images_text(read_sections(cifar), settings) == ""
    assert images_text(read_sections(imagenet), settings) == "all of /val"


def test_make_add_writes_a_member_that_every_stage_is_planned_for(tmp_path: Path) -> None:
    tree = copy_project(tmp_path / "tree")
    for name in ("vit", "labels"):
        shutil.copytree(ROOT / "model_cards" / name, tree / "model_cards" / name)
    checkpoint = fine_tuned("oxford_iiit_pet", resolution=384)
    path = write_index(
        tmp_path, ROW._replace(adapt_filename=checkpoint, adapt_ds="oxford_iiit_pet", adapt_final_test=0.9)
    )
    done = make(tree, "add", f"CHECKPOINT={checkpoint}", f"INDEX={path}")
    assert done.returncode == 0, done.stderr
    member = "vit_s16_oxford_iiit_pet_384"
    home = "model_cards/augreg_i21k_oxford_iiit_pet"
    assert (
        done.stdout == f"wrote {home}/collection.yaml\nwrote {home}/{member}.yaml\nnext: make publish MODEL={member}\n"
    )
    planned = make(tree, "-n", "publish", f"MODEL={member}")
    assert planned.returncode == 0, planned.stderr
    for stage in ("fetch", "convert", "validate", "card", "package", "publish"):
        assert f"-m pipeline.{stage} " in planned.stdout
    orig = "CHECKPOINT=https://storage.googleapis.com/vit_models/imagenet21k%2Bimagenet2012/ViT-L_16.npz"
    assert "set SIZE=384 or SIZE=512" in make(tree, "add", orig).stderr
    done = make(tree, "add", orig, "SIZE=512", "OFFLINE=1")
    assert done.stdout.endswith("next: make publish MODEL=vit_l16_orig_512\n"), done.stderr
    planned = make(tree, "-n", "publish", "MODEL=vit_l16_orig_512")
    assert "-m pipeline.publish member" in planned.stdout
    done = make(tree, "add", f"CHECKPOINT={B8}", "COLLECTION=vit", "NAME=vit_b8_again")
    assert done.stdout.startswith("wrote model_cards/vit/vit_b8_again.yaml\nnote: not checked without an index: ")
    done = make(tree, "add", "CHECKPOINT=S_16-i21k")
    assert done.returncode == 2
    assert "its pre-training ends before part 3, expected <epochs>ep, such as 300ep\n  S_16-i21k\n" in done.stderr
    assert "say which checkpoint: make add CHECKPOINT=<the name or address" in make(tree, "add").stderr


def test_words_of_the_environment_are_no_settings(tmp_path: Path) -> None:
    """WSL exports NAME, the computer's name. Settings come from the command line only."""
    words = {"NAME": "my-pc", "INDEX": "mysql", "DIFF": "meld", "LOCK": "held", "CACHE": "redis"}
    for settings, target in (
        ("NAME INDEX CACHE", ("add", f"CHECKPOINT={TUNED}")),
        ("INDEX CACHE", ("select",)),
        ("LOCK CACHE", ("fetch", "MODEL=vit_s16")),
    ):
        dry = ("-n", f"ARTIFACTS={tmp_path}", *target)
        recipe = make(ROOT, *dry, **words).stdout
        assert f"-m pipeline.{target[0]} " in recipe
        assert not [word for word in (*words.values(), "--diff") if word in recipe]
        given = [f"{name}={'1' if name == 'DIFF' else f'mine_{word}'}" for name, word in words.items()]
        recipe = make(ROOT, *dry, *given, **words).stdout
        for name in settings.split():
            assert f"--{name.lower()}='mine_{words[name]}'" in recipe
    assert "--diff" in make(ROOT, "-n", "select", "DIFF=1").stdout
    assert "--diff" not in make(ROOT, "-n", "select", "DIFF=0").stdout
