"""The formats that a module is written in."""

import re
from dataclasses import replace
from enum import StrEnum

import pytest

from pipeline.base.fault import Fault
from pipeline.facts.formats import DEFAULT, FormatName
from pipeline.forms.precision import OF_FILES
from pipeline.litert import forms as litert
from pipeline.onnx_form import forms as onnx
from pipeline.runtimes.table import FORMATS, Runtime, require_packages, select_formats


def test_the_files_are_those_that_the_parts_write() -> None:
    def paths(runtime: Runtime) -> dict[str, str]:
        return {each.precision: each.path for each in FORMATS.values() if each.runtime is runtime}

    assert paths(Runtime.LITERT) == {each: litert.file_name(each) for each in OF_FILES}
    assert paths(Runtime.ONNX) == {each: onnx.file_name(each) for each in OF_FILES}
    assert paths(Runtime.TENSORFLOW) == {"float32": "plain", "bfloat16": "bfloat16"}


def test_savedmodels_are_published_as_archives() -> None:
    assert {each.published for each in FORMATS.values() if each.is_folder} == {"plain.tar.gz", "bfloat16.tar.gz"}
    assert all(each.published == each.path for each in FORMATS.values() if not each.is_folder)


def test_formats_are_selected_in_the_order_of_the_table() -> None:
    def names(*words: str) -> tuple[str, ...]:
        return tuple(each.name for each in select_formats(words))

    default = DEFAULT[1:]  # the module itself is no file of the folder
    assert names() == names("", ",") == default
    assert names("onnx", "plain,onnx", "litert litert-int8") == default
    assert names("xla,onnx") == ("onnx",)
    assert names(",".join(FORMATS)) == tuple(FORMATS)


def test_an_unknown_format_is_refused() -> None:
    message = "FORMATS: unknown format 'onnx-fp61' (did you mean 'onnx-fp16'?); expected some of xla, plain, "
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
        require_packages([replace(FORMATS[FormatName.ONNX], runtime=runtime)])  # type: ignore[arg-type]
