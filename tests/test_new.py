"""The command new: it fills in what a checkpoint tells, marks what it does not, and nothing is published until then."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.open_places import fill, list_open_places
from pipeline.base.fault import Fault
from pipeline.base.strict_yaml import OPEN_PLACE
from pipeline.base.yaml_sections import Member, YamlFile
from pipeline.check import Settings, problems
from pipeline.download.obtain import Access
from pipeline.new import Facts, Request, collect_facts, describe_collection, draft
from tests.conftest import ROOT, Stage, copy_project, make, serving_folder

DEMO = ROOT / "model_cards/demo/vit_demo.npz"


def write(cards: Path, request: Request) -> list[Path]:
    """Writes what the command would; returns the files, the member's last."""
    folder = cards / request.collection
    texts = draft(request, collect_facts(request, folder, Access(cards / "cache", offline=True)), cards)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return list(texts)


def refusal(cards: Path, request: Request) -> str:
    with pytest.raises(Fault) as raised:
        write(cards, request)
    assert not cards.exists() or not list(cards.glob("*/*.yaml"))
    return str(raised.value)


def test_a_checkpoint_fills_in_what_its_arrays_tell(tmp_path: Path) -> None:
    shutil.copy(DEMO, tmp_path / "mine.npz")
    path = write(tmp_path / "cards", Request("shapes", "mine", str(tmp_path / "mine.npz")))[-1]
    facts = yaml.safe_load(path.read_text())
    pinned = yaml.safe_load((ROOT / "model_cards/demo/vit_demo.yaml").read_text())["checkpoint"]["sha256"]
    assert facts["checkpoint"] == {"name": "mine", "sources": ["../../mine.npz"], "sha256": pinned}
    known = {"variant": "Mini/4", "image_size": 28, "classes": 10}
    assert {key: value for key, value in facts["model"].items() if OPEN_PLACE not in str(value)} == known


def test_of_several_models_in_a_file_the_user_chooses(tmp_path: Path) -> None:
    arrays = dict(np.load(DEMO))
    quoted = {f'"{prefix}/{name}': value for name, value in arrays.items() for prefix in ("params", "ema")}
    np.savez(tmp_path / "two.npz", allow_pickle=False, **quoted)
    path = write(tmp_path / "cards", Request("shapes", "two", str(tmp_path / "two.npz")))[-1]
    facts = yaml.safe_load(path.read_text())
    assert facts["checkpoint"]["prefix"] == f'{OPEN_PLACE} which of the models in the file: "ema/ or "params/'
    assert facts["model"]["variant"] == "Mini/4"


def test_the_note_on_an_existing_collection_says_what_its_pages_will() -> None:
    note = describe_collection(ROOT / "model_cards/own/collection.yaml")
    assert "it was trained from scratch on the 60,000 training images of Fashion-MNIST [2]" in note
    assert (
        "its architecture is the one of 'Gradient-Based Learning Applied to Document Recognition, LeCun et al.'" in note
    )


def test_every_open_place_is_named_with_its_line_until_it_is_filled(tmp_path: Path) -> None:
    collection, member = write(tmp_path, Request("shapes", "mine", str(DEMO)))
    for path in (collection, member):
        lines = path.read_text().split("\n")
        marked = [number for number, line in enumerate(lines, start=1) if OPEN_PLACE in line]
        assert [line for line, _ in list_open_places(path)] == marked
    both = "\n".join(problems(member, Settings()))
    assert f"{member}: 6 places are open; write what each says instead of it:" in both
    assert f"{collection}:7: publisher.name: your name, or that of your organisation, such as Jane Doe" in both
    fill(member)
    assert str(collection) in "\n".join(problems(member, Settings()))
    fill(collection)
    assert problems(member, Settings()) == []
    assert Member(member).checkpoint_name() == "vit_demo"


def test_a_place_within_a_text_is_open_too(tmp_path: Path) -> None:
    path = tmp_path / "collection.yaml"
    path.write_text("name: a\noverview: |\n  They are.\n  TODO: more\n")
    assert list_open_places(path) == [(4, "overview")]
    path.write_text("name: a\noverview: They say TODO: more\n".replace("They", '"They').replace("more", 'more"'))
    YamlFile(path)  # TODO: in the middle of a line is somebody's text


def test_without_a_checkpoint_all_of_it_is_open(tmp_path: Path) -> None:
    member = write(tmp_path, Request("shapes", "mine", variant="R50+B/16"))[-1]
    names = [name for _, name in list_open_places(member)]
    assert {"checkpoint.name", "checkpoint.sources[0]", "model.image_size", "model.classes"} <= set(names)
    assert '  variant: "R50+B/16"\n' in member.read_text()


def test_a_network_of_ones_own_gets_an_example_that_computes(tmp_path: Path) -> None:
    request = Request("mine", "net", architecture="my_model.py:MyNet")
    module, collection, member = write(tmp_path, request)
    assert module == tmp_path / "mine/my_model.py"
    compile(module.read_text(), str(module), "exec")
    assert "class MyNet:\n" in module.read_text()
    assert "architecture: my_model.py:MyNet\n" in member.read_text()
    assert "references[0].text" in [name for _, name in list_open_places(collection)]
    module.write_text("mine")
    member.unlink()
    assert module not in write(tmp_path, request)


def test_an_existing_collection_stays_and_a_note_tells_what_it_says(tmp_path: Path, stage: Stage) -> None:
    shutil.copytree(ROOT / "model_cards/demo", tmp_path / "demo", ignore=shutil.ignore_patterns("*test"))
    before = (tmp_path / "demo/collection.yaml").read_text()
    done = stage("new", "demo", "mine", "--cards", tmp_path, "--checkpoint", DEMO)
    assert done.returncode == 0, done.stderr
    assert f"wrote {tmp_path}/demo/mine.yaml, with 6 open places\n" in done.stdout
    assert "says of all: it was trained from scratch on the 60,000 training images of Fashion-MNIST" in done.stdout
    assert (tmp_path / "demo/collection.yaml").read_text() == before
    assert stage("new", "open", "one", "--cards", tmp_path).returncode == 0
    done = stage("new", "open", "two", "--cards", tmp_path)  # its collection.yaml is still open
    assert done.returncode == 0, done.stderr
    assert "note:" not in done.stdout
    done = stage("new", "other", "mine", "--cards", tmp_path)
    assert f"{tmp_path}/demo/mine.yaml: this member exists; set MODEL=<another name>" in done.stderr
    assert not (tmp_path / "other").exists()


def test_a_remote_checkpoint_is_read_and_named_without_its_password(tmp_path: Path) -> None:
    shutil.copy(DEMO, tmp_path / "mine.npz")
    with serving_folder(tmp_path) as address:
        place = f"{address.replace('http://', 'http://me:secret@')}/mine.npz"
        facts = collect_facts(Request("a", "b", place), tmp_path / "a", Access(tmp_path / "cache"))
    assert facts.variant == "Mini/4"
    assert facts.origin
    assert facts.origin.name == "mine"
    assert facts.origin.source == f'"{address}/mine.npz"'


def test_arrays_of_no_architecture_are_refused_with_the_way_out(tmp_path: Path) -> None:
    arrays = {"conv/kernel": np.zeros((3, 3, 3, 8)), "head/bias": np.zeros(7)}
    np.savez(tmp_path / "odd.npz", allow_pickle=False, **arrays)
    odd = str(tmp_path / "odd.npz")
    message = refusal(tmp_path / "cards", Request("a", "b", odd))
    assert "its 2 arrays (conv/kernel, head/bias) are those of none of" in message
    assert "set ARCHITECTURE=<file>.py:<class>" in message
    facts = collect_facts(Request("a", "b", odd, architecture="n.py:Net"), tmp_path, Access(tmp_path / "cache"))
    assert facts == Facts("n.py:Net", classes=7, origin=facts.origin)


def wrong_requests() -> Iterable[tuple[Request, str]]:
    demo = str(DEMO)
    yield Request("a", "b", "nope.npz"), "CHECKPOINT=nope.npz: no such file; expected a checkpoint"
    yield Request("a", "b", str(ROOT / "README.md")), "README.md: "
    yield Request("a", "b", demo, "S/16"), "VARIANT=S/16: the arrays of "
    yield Request("a", "b", demo, "S/16"), "look like vit Mini/4 with 28 pixels and 10 classes; leave VARIANT out"
    yield Request("a", "b", variant="Q/16"), "VARIANT=Q/16: variant 'Q/16' is unknown"
    yield Request("a", "b", architecture="vti"), "ARCHITECTURE=vti: unknown (did you mean 'vit'?); expected "
    yield Request("a", "b", architecture="my model.py"), "or <file>.py:<class> for a network of your own"


@pytest.mark.parametrize(("request_", "message"), list(wrong_requests()))
def test_wrong_settings_are_refused_and_nothing_is_written(tmp_path: Path, request_: Request, message: str) -> None:
    assert message in refusal(tmp_path / "cards", request_)


def test_make_new_writes_what_publish_refuses_until_it_is_filled(tmp_path: Path) -> None:
    tree = copy_project(tmp_path / "tree")
    shutil.copy(DEMO, tree / "mine.npz")
    for words in (("COLLECTION=shapes",), ("MODEL=mine",), ()):
        assert "say which member of which collection to write: make new COLLECTION=" in make(tree, "new", *words).stderr
    assert "MODEL=Mi ne: expected the name of a member" in make(tree, "new", "COLLECTION=a", "MODEL=Mi ne").stderr
    done = make(tree, "new", "COLLECTION=shapes", "MODEL=mine", "CHECKPOINT=mine.npz")
    assert done.stdout.endswith("places that begin with TODO: say, then make publish MODEL=mine\n"), done.stderr
    folder = tree / "model_cards/shapes"
    for name in ("mine", "collection"):
        done = make(tree, "publish", "MODEL=mine")
        assert done.returncode == 2
        assert f"model_cards/shapes/{name}.yaml:" in done.stderr
        assert not (tree / "artifacts/mine").exists()
        fill(folder / f"{name}.yaml")
    assert "-m pipeline.publish member" in make(tree, "-n", "publish", "MODEL=mine").stdout
