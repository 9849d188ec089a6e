"""Reports of formats for tests, as a stage that measured the demo might write them."""

from pathlib import Path
from typing import Any

from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.facts.formats import FormatFile, FormatName, FormatReport, Formats, OnImages, formats_text
from pipeline.facts.report import Report, Rung

TEST_SET = "the Fashion-MNIST test set"
LEFT_OUT = FormatReport(
    FormatName.ONNX_INT8, "int8", "onnxruntime", "1.32.0", (), (),
    left_out="the smallest cosine to float32 is 0.98000 (at least 0.99)",
)  # fmt: skip


def on_images(head: Head, **changes: Any) -> OnImages:
    """Returns what was measured on the demo's images."""
    figures: dict[str, Any] = {"images": 1000, "of": TEST_SET, "cosine": 0.99912}
    if head is Head.CLASSIFICATION:
        figures |= {"same_class": 0.997, "top1": 0.92, "module_top1": 0.919}
    return OnImages(**(figures | changes))


def exact(head: Head, name: FormatName, runtime: str, path: str, size: int, *beside: str) -> FormatReport:
    """Returns the report of a float32 format."""
    files = (FormatFile(path, "1" * 64, size), *(FormatFile(other, "2" * 64, 400) for other in beside))
    rung = Rung("parity", head, 4.1e-7, 1e-5, Verdict.PASS)
    same = {"same_class": 1.0, "top1": 0.919} if head is Head.CLASSIFICATION else {}
    program, version = runtime.split()
    return FormatReport(name, "float32", program, version, files, (rung,), on_images(head, cosine=0.9999999999, **same))


def quantized(head: Head, on: OnImages | None) -> FormatReport:
    """Returns the report of LiteRT's int8 file."""
    rung = Rung("cosine", head, 0.9985, 0.99, Verdict.PASS)
    file = FormatFile("model_int8.tflite", "3" * 64, 423_264)
    return FormatReport(FormatName.LITERT_INT8, "int8", "LiteRT", "2.3.0", (file,), (rung,), on)


def demo_reports(head: Head) -> tuple[FormatReport, ...]:
    """Returns the reports of a module's formats: four that are published, and one that is left out."""
    return (
        exact(head, FormatName.PLAIN, "TensorFlow 2.21.0", "plain.tar.gz", 1_171_000),
        exact(head, FormatName.LITERT, "LiteRT 2.3.0", "model.tflite", 1_274_000),
        quantized(head, on_images(head)),
        exact(
            head, FormatName.ONNX, "onnxruntime 1.32.0", "onnx/model.onnx", 1_255_000,
            "config.json", "preprocessor_config.json",
        ),
        LEFT_OUT,
    )  # fmt: skip


def formats_of(report: Report, member: str = "vit_demo") -> Formats:
    """Returns what formats.json says of a member with a report."""
    contents = {head: report.modules[head].content_sha256 for head in Head}
    return Formats(member, {head: demo_reports(head) for head in Head}, contents, {head: {} for head in Head})


def write_formats(path: Path, formats: Formats) -> None:
    """Writes a formats.json."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(formats_text(formats))
