"""The table of measured versions of TensorFlow."""

import pytest

from pipeline.saved_model import runtimes


@pytest.mark.parametrize(
    ("version", "tensorflow"),
    [
        ("0.9.0", "2.14"),
        ("0.14.8", "2.14"),
        ("0.14.9", "2.15"),
        ("0.15.0", "2.16"),
        ("1.0.0", "2.17"),
        ("1.13.7", "2.21"),
    ],
)
def test_the_table_gives_the_oldest_tensorflow(version: str, tensorflow: str) -> None:
    assert runtimes.for_stablehlo(version) == tensorflow


def test_the_table_is_sorted_and_newer_versions_are_unknown() -> None:
    for column in ("tensorflow", "stablehlo"):
        versions = [runtimes.parse(getattr(runtime, column)) for runtime in runtimes.RUNTIMES]
        assert versions == sorted(versions)
    conventions = [runtime.convention for runtime in runtimes.RUNTIMES]
    assert conventions == sorted(conventions)
    assert runtimes.for_stablehlo("1.14.0") == runtimes.for_convention(11) == runtimes.UNKNOWN
    assert runtimes.parse(runtimes.UNKNOWN) > runtimes.parse(runtimes.NEWEST)
    assert runtimes.for_ranges() == "2.19"
