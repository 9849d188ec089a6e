"""A row of the pool's index and criteria that it meets, for tests."""

from pathlib import Path

from pipeline.pool.criteria import Criteria
from pipeline.pool.index import Row

HEADING = ",".join(Row._fields)
ROW = Row(
    "S/16", "i21k", 300.0, 0.001, "light1", 0.03, 0.0, 0.0, 0.47, 0.47, 0.47, "imagenet2012", 0.03, 20_000, 224, 0.84,
    0.8, 22_050_000.0, 1508.35, "S_16", "S_16--a",
)  # fmt: skip
CRITERIA = Criteria("i21k", "adapt_final_test", "imagenet2012", 224, 0.75)


def write_index(folder: Path, *rows: Row) -> Path:
    """Writes an index of a few rows."""
    path = folder / "index.csv"
    path.write_text("\n".join([HEADING, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path
