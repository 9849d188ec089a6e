"""The formats that a module is written in."""

import re
from dataclasses import replace
from enum import StrEnum

import pytest

from pipeline.base.fault import Fault
from pipeline.forms.precision import Precision
from pipeline.litert import forms as litert
from pipeline.onnx_form import forms as onnx
from pipeline.runtimes.table import DEFAULT, FORMATS, Runtime, require_packages, select_formats


def test_the_files_are_those_that_the_parts_write() -> None:
    def paths(runtime: Runtime) -> dict[str, str]:
        return {each.precision: each.path for each in FORMATS.values() if each.runtime is runtime}

    assert paths(Runtime.LITERT) == {each: litert.file_name(each) for each in Precision}
    assert paths(Runtime.ONNX) == {each: f"onnx/{onnx.file_name(each)}" for each in Precision}
    assert paths(Runtime.TENSORFLOW) == {"float32": "plain"}


def test_only_float32_is_exact() -> None:
    assert {each.precision for each in FORMATS.values() if each.least_cosine is None} == {Precision.FLOAT32}


def test_formats_are_selected_in_the_order_of_the_table() -> None:
    def names(*words: str) -> tuple[str, ...]:
        return tuple(each.name for each in select_formats(words))

    assert names() == names("", ",") == DEFAULT
    assert names("onnx", "plain,onnx", "litert litert-int8") == DEFAULT
    assert names(",".join(FORMATS)) == tuple(FORMATS)


def test_an_unknown_format_is_refused() -> None:
    message = "unknown format 'onnx-fp61' (did you mean 'onnx-fp16'?); expected plain, litert, litert-float16,"
    with pytest.raises(Fault, match=re.escape(message)):
        select_formats(["plain", "onnx-fp61"])


class Missing(StrEnum):
    """Runtimes whose packages nobody has."""

    ONE = "one"
    BOTH = "both"

    @property
    def packages(self) -> tuple[str, ...]:
        return ("numpy", "no-such-package") if self is Missing.ONE else ("no-such-package", "nor-this")


@pytest.mark.parametrize(
    ("runtime", "message"),
    [
        (Missing.ONE, "the format onnx needs no-such-package, which is not installed; run: pip install"),
        (Missing.BOTH, "the format onnx needs no-such-package, nor-this, which are not installed; run: pip install"),
    ],
)
def test_missing_packages_are_named(runtime: Missing, message: str) -> None:
    require_packages([])
    with pytest.raises(Fault, match=rf"^{message} .*\[runtimes\]"):
        require_packages([replace(FORMATS["onnx"], runtime=runtime)])  # type: ignore[arg-type]
