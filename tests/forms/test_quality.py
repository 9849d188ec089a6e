"""The cosine that files are compared by."""

import numpy as np
import pytest

from pipeline.forms.quality import smallest_cosine


def test_rows_of_zeros_are_like_each_other_and_no_other() -> None:
    rows = np.array([[0, 0], [3, 4]], np.float32)
    assert smallest_cosine(rows, rows) == pytest.approx(1)
    assert smallest_cosine(rows, rows + np.array([[1, 0], [0, 0]], np.float32)) == 0
    assert np.isnan(smallest_cosine(rows, rows * np.nan))
