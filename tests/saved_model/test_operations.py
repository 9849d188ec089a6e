"""The table of operations, and the rows of the newest TensorFlow against the installed one."""

import subprocess
import sys

import pytest

from pipeline.saved_model import operations, runtimes
from pipeline.saved_model.operations import Device, Operation, table
from tests.conftest import ROOT

MINORS = [runtime.tensorflow for runtime in runtimes.RUNTIMES]


def test_the_table_was_measured_with_each_tensorflow() -> None:
    lines = (ROOT / "pipeline/saved_model/operations.tsv").read_text().splitlines()
    versions = lines[0].removeprefix("# The operations of TensorFlow ").partition(" (")[0].split(", ")
    assert [version.rpartition(".")[0] for version in versions] == MINORS
    names = [line.split("\t")[0] for line in lines if not line.startswith("#")]
    assert names == sorted(set(names))
    assert all(one.first in MINORS and one.last in MINORS for one in table().values())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MatMul", Operation("2.14", "2.21", Device.ANY)),
        ("DecodeWebP", Operation("2.20", "2.21", Device.ANY)),
        ("TRTEngineOp", Operation("2.14", "2.17", Device.GPU)),
        ("CudnnRNNV3", Operation("2.14", "2.21", Device.GPU)),
        ("TPUPartitionedCall", Operation("2.14", "2.21", Device.NONE)),
        ("BoostedTreesPredict", Operation("2.14", "2.21", Device.NONE)),
    ],
)
def test_rows(name: str, expected: Operation) -> None:
    assert table()[name] == expected


def test_operations_of_tensorflows_own_tests_are_left_out() -> None:
    assert not {"Simple", "TestStringOutput", "Foo1"} & set(table())
    assert operations.needs_device("Simple") is operations.needs_device("AccumulateNV2") is Device.ANY


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("SentencepieceOp", "tensorflow_text"),
        ("TFText>FastSentencepieceTokenize", "tensorflow_text"),
        ("Addons>Resampler", "tensorflow_addons"),
        ("IO>DecodeTiff", "tensorflow_io"),
        ("SimpleMLInferenceOpWithHandle", "tensorflow_decision_forests"),
        ("TRTEngineOp", "TF-TRT"),
        ("Resampler", "tf.contrib of TensorFlow 1"),
        ("MyCompany>FastErf", ""),
    ],
)
def test_well_known_libraries_are_named(name: str, library: str) -> None:
    assert operations.library_of(name) == library


@pytest.mark.slow
def test_the_newest_rows_are_those_of_the_installed_tensorflow() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/runtime_probe.py"), "--list-operations"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    _, *rows = (line.split("\t") for line in done.stdout.splitlines())
    newest = {name: one.device for name, one in table().items() if one.last == runtimes.NEWEST}
    assert {name for name, _ in rows} == set(newest)
    assert {name for name, types in rows if {"CPU", "DEFAULT"} & set(types.split(","))} == {
        name for name, device in newest.items() if device is Device.ANY
    }
