"""The section `selection` of a collection.yaml: unknown words and impossible criteria are refused with their line."""

from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.pool.criteria import read_criteria


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            "{ds: i22k, best_by: final_val}",
            "selection.ds: unknown value 'i22k' (did you mean 'i21k'?): expected one of",
        ),
        ("{ds: i21k, best_by: speed}", "selection.best_by: unknown value 'speed': expected one of best_val, final_val"),
        ("{ds: i21k, best_by: adapt_final_test}", "selection.best_by: unknown value 'adapt_final_test'"),
        (
            "{ds: i21k, best_by: final_val, adapt_ds: imagenet}",
            "adapt_ds: unknown value 'imagenet' (did you mean 'imagen",
        ),
        (
            "{ds: i21k, best_by: final_val, adapt_resolution: 224}",
            "applies to fine-tuned checkpoints: add adapt_ds, or remove it",
        ),
        (
            "{ds: i21k, best_by: final_val, adapt_resolution: 256}",
            "adapt_resolution: unknown value 256: expected one of",
        ),
        (
            "{ds: i21k, best_by: final_val, minimum_accuracy: 75}",
            "selection.minimum_accuracy must lie in 0 to 1, got 75",
        ),
        ("{ds: i21k, best_by: final_val, minimum: 0.7}", "unknown key 'minimum' in collection.selection"),
    ],
)
def test_criteria_are_checked(tiny: Path, section: str, message: str) -> None:
    path = tiny / "collection.yaml"
    path.write_text(path.read_text() + f"selection: {section}\n")
    with pytest.raises(Fault) as raised:
        read_criteria(path)
    assert message in str(raised.value)
    assert "collection.yaml:" in str(raised.value)
