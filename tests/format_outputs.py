"""What the stage `formats` writes, for tests: formats.json and files of a few bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.base.files import content_digest
from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.facts.formats import (  # fmt: skip
    FormatFile,
    FormatName,
    FormatReport,
    Formats,
    OnImages,
    Speed,
    formats_text,
    load_formats,
)
from pipeline.facts.report import Rung, load_report
from pipeline.hub.trial import describe_trial

CONFIGURATIONS = ("config.json", "preprocessor_config.json")
# The files of each format, the one to load first, and its precision and runtime.
FORMATS: dict[FormatName, tuple[tuple[str, ...], str, str]] = {
    FormatName.PLAIN: (("plain.tar.gz",), "float32", "TensorFlow"),
    FormatName.LITERT: (("model.tflite",), "float32", "LiteRT"),
    FormatName.LITERT_INT8: (("model_int8.tflite",), "int8", "LiteRT"),
    FormatName.ONNX: (("onnx/model.onnx", *CONFIGURATIONS), "float32", "ONNX Runtime"),
    FormatName.ONNX_INT8: (("onnx/model_quantized.onnx", *CONFIGURATIONS), "int8", "ONNX Runtime"),
}
LABELS = ("Bag", "Shirt")


def formats_of(folder: Path) -> Formats | None:
    """Returns what a member's formats.json says; None where there is none."""
    path = folder / "formats.json"
    return load_formats(path) if path.exists() else None


def describe_format(name: FormatName, head: Head, contents: Mapping[str, bytes]) -> FormatReport:
    """Returns the report of a format with these files, measured on images."""
    _, precision, runtime = FORMATS[name]
    files = tuple(FormatFile(path, content_digest(content), len(content)) for path, content in contents.items())
    rung = Rung("parity", head, 1.5e-6, 1e-4, Verdict.PASS)
    is_classifier = head is Head.CLASSIFICATION
    on_images = OnImages(
        1000,
        "the Fashion-MNIST test set",
        0.99952,
        0.997 if is_classifier else None,
        0.9185 if is_classifier else None,
        0.919 if is_classifier else None,
    )
    speed = Speed(2, 0.01, 0.02, {"1": 901.4, "32": 1900.0})
    ladder = (rung,) if precision == "float32" else ()
    return FormatReport(name, precision, runtime, "1", files, ladder, on_images, speed)


def write_formats(
    folder: Path,
    names: Sequence[str] = ("plain", "litert", "litert-int8", "onnx"),
    contents: Mapping[str, bytes] | None = None,
    left_out: Mapping[str, str] | None = None,
    heads: Sequence[Head] = tuple(Head),
) -> None:
    """Writes the formats of a member beside its report.json.

    Args:
        folder: the member's outputs.
        names: the formats that have files.
        contents: of the files by path; others hold the name of the format and of the head.
        left_out: why others are left out.
        heads: the modules that have formats.
    """
    report = load_report(folder / "report.json")
    modules = {}
    for head in heads:
        reports = []
        for name in map(FormatName, names):
            paths = FORMATS[name][0]
            texts = {path: (contents or {}).get(path, f'"{head} {path}"'.encode()) for path in paths}  # JSON, too
            for path, content in texts.items():
                write_file(folder / "formats" / head / path, content)
            reports.append(describe_format(name, head, texts))
        for without, reason in (left_out or {}).items():
            reports.append(replace(describe_format(FormatName(without), head, {}), speed=None, left_out=reason))
        modules[head] = tuple(reports)
    digests = {head: report.modules[head].content_sha256 for head in heads}
    (folder / "formats.json").write_text(formats_text(Formats("mini", modules, digests, {head: {} for head in heads})))


def write_file(path: Path, content: bytes) -> None:
    """Replaces a file; it may be another name of one in a hub."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def write_trial(folder: Path) -> None:
    """Writes the facts that "Try it" of the classifier needs."""
    target = folder / "formats/classification"
    facts = describe_trial(target, LABELS, 28, "softmax")
    assert facts
    write_file(target / "try.json", facts.encode())
