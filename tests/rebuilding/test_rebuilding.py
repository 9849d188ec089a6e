"""rebuilding: finding a published module, what it is made of again, with what, and the three verdicts."""

import dataclasses
import functools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of
from pipeline.base.heads import Head
from pipeline.base.stage_code import ROOT
from pipeline.facts.collection import read_activation
from pipeline.facts.report import load_report
from pipeline.package import package
from pipeline.publish import Outputs, publish_member
from pipeline.rebuilding import environment
from pipeline.rebuilding.comparison import Outcome, compare_tarballs
from pipeline.rebuilding.environment import choose
from pipeline.rebuilding.published import open_published
from pipeline.rebuilding.recipe import Recipe, find_sources, read_recipe, refuse_other_checkpoint, write_member
from pipeline.saved_model.files import folder_digest
from pipeline.saved_model.remote import Downloads
from pipeline.trust import builder
from pipeline.trust.builder import Build, Source
from pipeline.trust.statement import Scalar, Statement
from tests.reports import write_report
from tests.server.harness import running
from tests.test_publish import COLLECTION, MODULE
from tests.test_publish import write_member as write_outputs
from tests.trust.builds import build_of

HANDLE = "tester/mini_classification/1"


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """The outputs of `mini`; its classifier has labels."""
    folder = write_outputs(tmp_path / "artifacts/mini")
    extra = folder / "classification/assets.extra"
    extra.mkdir()
    (extra / "labels.tsv").write_text("index\tkey\tname\n0\tred\tRed\n1\tgreen\tGreen, light\n")
    package(folder / "classification", folder / "classification.tar.gz")
    report = load_report(folder / "report.json")
    classification = folder_digest(folder / "classification")
    modules = report.modules | {
        Head.CLASSIFICATION: dataclasses.replace(report.modules[Head.CLASSIFICATION], content_sha256=classification)
    }
    write_report(folder / "report.json", dataclasses.replace(report, modules=modules))
    return folder


def publish(folder: Path, hub: Path, build: Build | None = None) -> Path:
    report = load_report(folder / "report.json")
    outputs = Outputs("mini", MODULE, COLLECTION, folder, report, build or build_of(folder))
    publish_member(outputs, hub, folder / "published.json")
    return hub


@pytest.fixture
def hub(outputs: Path, tmp_path: Path) -> Path:
    return publish(outputs, tmp_path / "hub")


@pytest.fixture
def downloads(tmp_path: Path) -> Downloads:
    return Downloads(tmp_path / "cache")


def statement_of(hub: Path, downloads: Downloads) -> Statement:
    with open_published(HANDLE, str(hub), downloads) as published:
        return published.statement


# Finding --------------------------------------------------------------------------------------------------------------
def test_a_module_is_found_by_handle_path_file_and_address(hub: Path, downloads: Downloads) -> None:
    lock = hub / "locks" / f"{builder.lock_digest()}.lock"
    for name, at in ((HANDLE, str(hub)), (f"{hub}/{HANDLE}", "none"), (f"{hub}/{HANDLE}.tar.gz", "none")):
        with open_published(name, at, downloads) as published:
            assert (published.tarball, published.lock) == (hub / f"{HANDLE}.tar.gz", lock)
            assert published.statement.handle == HANDLE
    address = f"http://127.0.0.1:{{}}/{HANDLE}"
    with running(hub) as here, open_published(address.format(here.port), "none", downloads) as published:
        assert published.lock
        assert sha256_of(published.lock) == builder.lock_digest()


def test_a_tarball_away_from_its_hub_needs_its_statement(hub: Path, downloads: Downloads, tmp_path: Path) -> None:
    copy = Path(shutil.copy(hub / f"{HANDLE}.tar.gz", tmp_path / "model.tar.gz"))
    message = r"provenance\.dsse\.json: no such file; .* expected it in the hub, or provenance\.dsse\.json beside"
    with pytest.raises(Fault, match=message), open_published(str(copy), "none", downloads):
        pass
    shutil.copy(hub / HANDLE / "provenance.dsse.json", tmp_path)
    with open_published(str(copy), "none", downloads) as published:
        assert (published.tarball, published.lock) == (copy, None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mini", r"^MODULE=mini: expected <publisher>/<module>/<version> in HUB="),
        ("tester/mini_classification/2", r"mini_classification/2\.tar\.gz: no such file"),
        ("/none/tester/mini_fe/1", r"^/none/tester/mini_fe/1\.tar\.gz: no such file"),
    ],
)
def test_what_is_no_module_is_named(hub: Path, downloads: Downloads, name: str, message: str) -> None:
    with pytest.raises(Fault, match=message), open_published(name, str(hub), downloads):
        pass


def test_another_tarball_or_lock_file_is_refused(hub: Path, downloads: Downloads) -> None:
    lock = hub / "locks" / f"{builder.lock_digest()}.lock"
    lock.write_text("jax==1\n")
    with pytest.raises(Fault, match=r"\.lock: it has sha256"), open_published(HANDLE, str(hub), downloads):
        pass
    shutil.copy(hub / "tester/mini_fe/1.tar.gz", hub / f"{HANDLE}.tar.gz")
    with pytest.raises(Fault, match="it is about tester/mini_classification/1 with sha256"):
        statement_of(hub, downloads)


# The recipe -----------------------------------------------------------------------------------------------------------
def recipe_of(hub: Path, downloads: Downloads) -> Recipe:
    with open_published(HANDLE, str(hub), downloads) as published:
        return read_recipe(published)


def test_the_recipe_has_what_convert_reads(hub: Path, downloads: Downloads, tmp_path: Path) -> None:
    recipe = recipe_of(hub, downloads)
    assert (recipe.member, recipe.head, recipe.checkpoint) == ("mini", Head.CLASSIFICATION, "mini")
    member = write_member(recipe, tmp_path / "members")
    assert yaml.safe_load(member.read_text()) == {
        "checkpoint": {"name": "mini", "sources": [], "sha256": "c" * 64},
        "model": {"variant": "Mini/8", "image_size": 16, "classes": 3, "dropout": 0.0, "labels": "labels.tsv"},
    }
    assert member.with_name("labels.tsv").read_text() == "red\tRed\ngreen\tGreen, light\n"
    assert read_activation(member.parent) == "softmax"
    write_member(dataclasses.replace(recipe, activation="sigmoid"), tmp_path / "members")
    assert read_activation(member.parent) == "sigmoid"


def test_the_recorded_source_comes_first(hub: Path, downloads: Downloads) -> None:
    recipe = dataclasses.replace(recipe_of(hub, downloads), member="vit_demo", checkpoint="vit_demo")
    assert find_sources(recipe) == [str(ROOT / "model_cards/demo/vit_demo.npz")]
    origin = dataclasses.replace(recipe.origin, source="hf://timm/a/model.safetensors", converted_from="timm")
    converted = dataclasses.replace(recipe, origin=origin)
    assert find_sources(converted) == [origin.source, str(ROOT / "model_cards/demo/vit_demo.npz")]


def test_a_network_of_ones_own_is_made_with_the_file_that_lies_here(
    hub: Path, downloads: Downloads, tmp_path: Path
) -> None:
    file = ROOT / "model_cards/own/cnn.py"
    model: dict[str, Scalar] = {"architecture": "cnn.py:Cnn", "variant": "a", "options.width": 4}
    model["architecture_sha256"] = sha256_of(file)
    recipe = dataclasses.replace(recipe_of(hub, downloads), member="cnn_demo", model=model)
    member = write_member(recipe, tmp_path / "members")
    assert member.with_name("cnn.py").read_bytes() == file.read_bytes()
    expected = {"architecture": "cnn.py:Cnn", "variant": "a", "options": {"width": 4}, "labels": "labels.tsv"}
    assert yaml.safe_load(member.read_text())["model"] == expected
    other = dataclasses.replace(recipe, model=model | {"architecture_sha256": "d" * 64})
    reason = (
        rf"the Python file cnn\.py with sha256 d{{64}}.*{file} has sha256 {sha256_of(file)}; get that file from its"
    )
    with pytest.raises(Fault, match=reason):
        write_member(other, tmp_path / "others")
    with pytest.raises(
        Fault, match=r"cnn\.py .* must lie beside model_cards/<collection>/mini\.yaml here; there is none"
    ):
        write_member(dataclasses.replace(recipe, member="mini"), tmp_path / "none")


def test_the_checkpoint_must_have_the_recorded_digest(hub: Path, downloads: Downloads, tmp_path: Path) -> None:
    from pipeline.checkpoints import provenance

    recipe, checkpoint = recipe_of(hub, downloads), tmp_path / "checkpoint.npz"
    checkpoint.write_bytes(b"weights")
    with pytest.raises(Fault, match=r"^mini\.npz: it has sha256 \w+, but the module was made from cccc\w+; bring that"):
        refuse_other_checkpoint(recipe, checkpoint)
    same = dataclasses.replace(recipe, origin=dataclasses.replace(recipe.origin, sha256=sha256_of(checkpoint)))
    refuse_other_checkpoint(same, checkpoint)
    assert provenance.read_record(checkpoint) == same.origin


# The environment ------------------------------------------------------------------------------------------------------
@functools.cache
def code_at_hand() -> str:
    return builder.code_digest()


def here(**changes: object) -> Source:
    """Returns this code, which has not been committed."""
    return dataclasses.replace(Source(None, None, None, code_at_hand()), **changes)  # type: ignore[arg-type]


def statement_with(outputs: Path, hub: Path, downloads: Downloads, **changes: object) -> Statement:
    recorded = {"source": here(), "versions": builder.read_versions()} | changes
    publish(outputs, hub, dataclasses.replace(build_of(outputs), **recorded))  # type: ignore[arg-type]
    return statement_of(hub, downloads)


def test_the_environment_at_hand_is_used_where_it_has_the_recorded_versions(
    outputs: Path, tmp_path: Path, downloads: Downloads
) -> None:
    statement = statement_with(outputs, tmp_path / "new", downloads)
    lock = ROOT / "requirements.lock"
    chosen = choose(statement, lock, tmp_path / "code", downloads.cache, is_fresh=False)
    assert (chosen.python, chosen.root, chosen.differences) == (Path(sys.executable), ROOT, ())
    assert chosen.description == "the same code and the environment at hand"


def test_without_a_lock_file_the_versions_that_differ_are_named(
    outputs: Path, tmp_path: Path, downloads: Downloads
) -> None:
    versions = builder.read_versions() | {"jax": "0.9.2"}
    statement = statement_with(outputs, tmp_path / "new", downloads, versions=versions)
    chosen = choose(statement, None, tmp_path / "code", downloads.cache, is_fresh=True)
    assert chosen.python == Path(sys.executable)
    assert chosen.differences[1] == f"jax 0.9.2 there, {versions['jax'] and builder.read_versions()['jax']} here"


def test_an_environment_of_the_lock_file_is_kept(
    outputs: Path, tmp_path: Path, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """benchmarks/reproduction.py makes a real one."""
    versions = builder.read_versions() | {"jax": "0.9.2"}
    statement = statement_with(outputs, tmp_path / "new", downloads, versions=versions)
    lock = ROOT / "requirements.lock"
    name = f"{str(builder.lock_digest())[:16]}-{versions['python']}"
    made = downloads.cache / "environments" / name
    monkeypatch.setattr(environment, "_find_python", lambda recorded: ("false", []))
    with pytest.raises(Fault, match=r"^false -m venv --clear failed \(see above\), so there is no environment"):
        choose(statement, lock, tmp_path / "code", downloads.cache, is_fresh=False)
    made.mkdir(parents=True)
    shutil.copy(lock, made / "requirements.lock")  # the last file to be written
    chosen = choose(statement, lock, tmp_path / "code", downloads.cache, is_fresh=False)
    assert chosen.python == made / "bin/python"
    assert chosen.description == "the same code and an environment of its requirements.lock"


def test_other_code_comes_from_the_repository(
    outputs: Path, tmp_path: Path, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repository with two commits of a small pipeline; the checkout has the second."""
    repository = tmp_path / "repository"
    for name in ("__init__", "convert", "package"):
        (repository / "pipeline").mkdir(parents=True, exist_ok=True)
        (repository / f"pipeline/{name}.py").write_text(f'"""{name}"""\n')
    (repository / "requirements.lock").write_text("")
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false"]

    def commit(message: str) -> str:
        for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", message]):
            subprocess.run(["git", "-C", str(repository), *arguments], check=True)
        return builder.run_git(repository, "rev-parse", "HEAD") or ""

    first, code = commit("first"), builder.code_digest(repository)
    (repository / "pipeline/convert.py").write_text("SECOND = True\n")
    commit("second")
    monkeypatch.setattr(environment, "ROOT", repository)
    recorded = {
        first: ("the code of commit", 0),
        "f" * 40: ("the code at hand", 1),
    }
    for number, (name, (description, differences)) in enumerate(recorded.items()):
        source = here(commit=name, is_clean=True, code_sha256=code)
        statement = statement_with(outputs, tmp_path / f"new{number}", downloads, source=source)
        chosen = choose(statement, None, tmp_path / f"code{number}", downloads.cache, is_fresh=False)
        assert chosen.description.startswith(description)
        assert len(chosen.differences) == differences
    assert (tmp_path / "code0/code/pipeline/convert.py").read_text() == '"""convert"""\n'
    assert builder.run_git(repository, "status", "--porcelain") == ""  # the checkout stays as it is


def test_a_stage_that_fails_ends_the_rebuild(outputs: Path, tmp_path: Path, downloads: Downloads) -> None:
    statement = statement_with(outputs, tmp_path / "new", downloads)
    chosen = choose(statement, None, tmp_path / "code", downloads.cache, is_fresh=False)
    with pytest.raises(Fault, match=r"^package failed \(see above\), so the module could not be made again with"):
        chosen.run("package", tmp_path / "none", tmp_path / "none.tar.gz")


# Verdicts -------------------------------------------------------------------------------------------------------------
def write_model(folder: Path, **files: str) -> Path:
    for name, text in ({"graph": "graph", "weights": "weights", "record": "1"} | files).items():
        path = folder / {"graph": "saved_model.pb", "weights": "variables/variables.index"}.get(name, "assets.extra/a")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    tarball = folder.with_suffix(".tar.gz")
    package(folder, tarball)
    return tarball


@pytest.mark.parametrize(
    ("files", "outcome", "sentence"),
    [
        ({}, Outcome.SAME_BYTES, "the tarball has sha256 "),
        ({"graph": "another"}, Outcome.SAME_WEIGHTS, "saved_model.pb differs"),
        ({"graph": "another", "record": "2"}, Outcome.SAME_WEIGHTS, "assets.extra/a, saved_model.pb differ"),
        ({"weights": "other"}, Outcome.DIFFERENT, "variables/variables.index differs"),
    ],
)
def test_verdicts(tmp_path: Path, files: dict[str, str], outcome: Outcome, sentence: str) -> None:
    comparison = compare_tarballs(write_model(tmp_path / "published"), write_model(tmp_path / "rebuilt", **files))
    assert comparison.outcome is outcome
    assert comparison.sentence.startswith(sentence)


def test_another_packing_is_not_the_same_bytes(tmp_path: Path) -> None:
    published = write_model(tmp_path / "published")
    rebuilt = tmp_path / "rebuilt.tar.gz"
    subprocess.run(f"gzip -dc {published} | gzip -9n > {rebuilt}", shell=True, check=True)
    comparison = compare_tarballs(published, rebuilt)
    assert (comparison.outcome, comparison.files) == (Outcome.SAME_WEIGHTS, ())
    assert comparison.sentence == "every file is the same, only their packing differs"
