"""The plot on the start page: which modules have a dot, and its scales."""

import dataclasses
from pathlib import Path

import pytest

from pipeline.hub.folder import read_index
from pipeline.hub.start_page_plot import plot


def test_the_plot_has_the_classifiers_with_an_accuracy(published: Path) -> None:
    rows = read_index(published).newest
    drawn = plot(rows)
    assert drawn is not None
    assert [rows[dot.row].task for dot in drawn.dots] == ["image-classification"] * 2
    assert {dot.origin for dot in drawn.dots} == {"measured", "quoted"}
    assert [name for _, name in drawn.legend] == ["Fashion-MNIST", "ImageNet-1k"]
    by_size = sorted(drawn.dots, key=lambda dot: dot.x)
    assert [rows[dot.row].parameters for dot in by_size] == sorted(rows[dot.row].parameters or 0 for dot in by_size)
    assert by_size[0].y < by_size[1].y  # 91.9 % stands above 80.5 %
    assert [text for _, text in drawn.x_ticks] == ["500 k", "1 M", "2 M", "5 M", "10 M", "20 M"]
    assert plot([]) is None


@pytest.mark.parametrize(
    "sizes", [[22_050_664], [304_326_632], [10**6], [1], [303_000_000, 307_000_000], [86_567_656] * 2]
)
def test_models_of_one_size_have_a_scale(published: Path, sizes: list[int]) -> None:
    (row,) = [entry for entry in read_index(published).newest if entry.name == "vit_s16_classification"]
    drawn = plot([dataclasses.replace(row, parameters=size) for size in sizes])
    assert drawn is not None
    assert len(drawn.x_ticks) >= 2
    assert len(drawn.y_ticks) >= 2
    places = [place for place, _ in drawn.x_ticks]
    assert all(drawn.frame.left <= place <= drawn.frame.right for place in (*places, *(dot.x for dot in drawn.dots)))
    assert min(places) < max(dot.x for dot in drawn.dots)
    assert max(places) > min(dot.x for dot in drawn.dots)
