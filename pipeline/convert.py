"""convert: converts a checkpoint into two SavedModels, the classifier and the feature extractor.

    python -m pipeline.convert MEMBER.yaml CHECKPOINT OUT

writes OUT/classification and OUT/fe, each head in a process of its own, a copy of this one after its imports
(pipeline/saved_model/export.py). Meanwhile this process computes the outputs for the self-test. OUT/build.json says
what converted them (pipeline.trust.builder).
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.base import png
from pipeline.base.command import command
from pipeline.base.environment import CONVERT, prepare_environment
from pipeline.base.files import replacing_folder
from pipeline.base.forks import offering_copies
from pipeline.base.heads import Head
from pipeline.base.status import Status
from pipeline.base.yaml_sections import Member
from pipeline.checkpoints import provenance
from pipeline.facts.collection import read_activation
from pipeline.images import labels
from pipeline.model import float64
from pipeline.model.networks import announce, open_network
from pipeline.model.section import Model, record_section
from pipeline.saved_model import export, portable, selftest
from pipeline.saved_model.classes import Classes
from pipeline.saved_model.files import folder_digest
from pipeline.saved_model.load import import_libraries
from pipeline.trust import builder
from pipeline.trust.builder import Build

if TYPE_CHECKING:
    from pipeline.model.network import Network


def provenance_record(subject: "Subject", image_size: int | None = None) -> dict[str, Any]:
    """Returns the content of provenance.json, which is the same on every machine, for every user and on every day.

    It includes the source of the checkpoint: the same weights from another source make a module with the same variables
    and another provenance.json. It has no version of this project, which would make every release another module.

    Args:
        subject: what is converted.
        image_size: the checkpoint's own image size, if its arrays were resized for the model's.
    """
    resized = {} if image_size is None else {"image_size": image_size}
    return {
        "checkpoint": {"name": subject.checkpoint} | provenance.read(subject.path).facts() | resized,
        "model": record_section(subject.model, subject.folder),
        "platforms": portable.PLATFORMS,
        "calling_convention": portable.CALLING_CONVENTION,
        "stablehlo": portable.STABLEHLO_VERSION,
        "versions": {package: version(package) for package in ("flax", "jax", "tensorflow")},
    }


def describe_build(started: str, subject: "Subject", record: Mapping[str, Any], contents: Mapping[Head, str]) -> Build:
    """Returns what build.json says of this process and the modules that it wrote.

    Args:
        started: when it began.
        subject: what was converted.
        record: the content of provenance.json.
        contents: the digest of each module's files.
    """
    return Build(
        started=started,
        builder=builder.describe_builder(),
        source=builder.read_source(),
        lock_sha256=builder.lock_digest(),
        versions=builder.read_versions(),
        member=subject.member,
        checkpoint=record["checkpoint"],
        model=record["model"],
        activation=subject.activation,
        contents={str(head): digest for head, digest in contents.items()},
    )


def _describe_resize(network: "Network", stored: int) -> str:
    """Returns what was done to the arrays of a checkpoint of another image size, in pixels."""
    size = network.model.image_size
    return f"{network.describe_resize(stored)}: the checkpoint is for {stored} pixels, the model for {size}"


def _selftests(
    network: "Network", arrays: Mapping[str, np.ndarray], classes: Classes
) -> dict[Head, dict[str, np.ndarray]]:
    """Returns the content of each head's selftest.npz; pipeline.saved_model.selftest says what it is."""
    pixels = float64.selftest_pixels(network.model)
    inputs = selftest.scaled(pixels)
    exact = float64.compute_exact(network, arrays, inputs)
    outputs = exact.outputs
    least = float64.least_scales(network, arrays, outputs[Head.FE])
    logits = outputs[Head.CLASSIFICATION]
    more: dict[Head, dict[str, np.ndarray]] = {head: {} for head in Head}
    if classes.has_probabilities(logits.shape[1]):
        more[Head.CLASSIFICATION] = {"probabilities": classes.probabilities(logits)}
    if exact.tokens is not None:
        more[Head.FE] = {"tokens": exact.tokens, "tokens_tolerance": np.array(network.tolerances.tokens)}
    return {
        head: {
            "pixels": pixels,
            "encoded": np.frombuffer(png.encode(pixels[0]), np.uint8),
            "outputs": outputs[head],
            "tolerance": np.array(network.tolerances.outputs),
            "scale": np.array(float64.relative_scale(outputs[head], least[head]), np.float32),
        }
        | more[head]
        for head in Head
    }


def _write_extra(
    folder: Path, names: Sequence[labels.Label], record: Mapping[str, Any], test: Mapping[str, np.ndarray]
) -> None:
    """Writes a module's assets.extra: labels, provenance, the self-test's data and its script."""
    extra = folder / "assets.extra"
    extra.mkdir()
    (extra / "provenance.json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
    np.savez(extra / "selftest.npz", allow_pickle=False, **test)
    (extra / "selftest.py").write_bytes(Path(selftest.__file__).read_bytes())
    if names:
        lines = [f"{index}\t{label.key}\t{label.name}\n" for index, label in enumerate(names)]
        (extra / "labels.tsv").write_text("index\tkey\tname\n" + "".join(lines), encoding="utf-8")


@dataclass(frozen=True)
class Subject:
    """What is converted.

    Attributes:
        member: the member's name, for progress and build.json.
        folder: that of its YAML file.
        model: the section `model`; its variant, image size and number of classes must fit the checkpoint.
        names: the labels in the order of the logits, or none.
        activation: what turns the logits into probabilities, "softmax" or "sigmoid".
        checkpoint: the checkpoint's upstream name.
        path: its file, an .npz.
    """

    member: str
    folder: Path
    model: Model
    names: Sequence[labels.Label]
    activation: str
    checkpoint: str
    path: Path


def read_subject(path: Path, checkpoint: Path) -> Subject:
    """Reads what is converted from a member's YAML file, its label file and its collection's activation.

    Raises:
        Fault: when one of them is malformed.
    """
    member = Member(path)
    model = member.section("model", Model)
    names = labels.read(member.folder / model.labels, model.classes) if model.labels else ()
    activation = read_activation(member.folder)
    return Subject(member.name, member.folder, model, names, activation, member.checkpoint_name(), checkpoint)


def convert(subject: Subject, out: Path) -> None:
    """Converts one checkpoint into out/classification and out/fe.

    Args:
        subject: what is converted.
        out: the member's folder. Its SavedModels are replaced when both are complete.

    Raises:
        Fault: when the checkpoint does not fit; out stays as it is.
        OSError: when the disk is full or not writable.
    """
    started, model = builder.now(), subject.model
    classes = Classes(subject.activation, tuple(label.name for label in subject.names))
    with ExitStack() as stack:
        status = stack.enter_context(Status(f"convert {subject.member}"))
        status.begin("exporting both modules")
        folders = {head: stack.enter_context(replacing_folder(out / head)) for head in Head}
        both = stack.enter_context(export.start_export(model, subject.folder, subject.path, folders, classes))
        from pipeline.checkpoints import npz

        network = open_network(model, subject.folder)
        parameters = npz.load(subject.path, network)  # raises if it does not fit; leaving the block ends the export
        if parameters.image_size is not None:
            status.print(_describe_resize(network, parameters.image_size))
        tests = _selftests(network, parameters.arrays, classes)
        record = provenance_record(subject, parameters.image_size)
        del parameters  # releases the mapped file: the export needs the memory
        both.wait()
        for head, folder in folders.items():
            _write_extra(folder, subject.names if head is Head.CLASSIFICATION else (), record, tests[head])
        with ThreadPoolExecutor() as hashing:
            contents = dict(zip(folders, hashing.map(folder_digest, folders.values()), strict=True))
        build = describe_build(started, subject, record, contents)
    builder.write_build(out, build)


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.convert", description="Converts a checkpoint into two SavedModels."
    )
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("checkpoint", type=Path, help="its checkpoint, an .npz file")
    parser.add_argument("out", type=Path, help="the member's folder, for classification/ and fe/")
    args = parser.parse_args(arguments)
    subject = read_subject(args.member, args.checkpoint)
    announce("convert", subject.model, subject.folder)
    import_libraries()
    with offering_copies():  # the export is one
        convert(subject, args.out)
    return subject.member


if __name__ == "__main__":
    prepare_environment("convert", CONVERT)
    raise SystemExit(command("convert", main))
