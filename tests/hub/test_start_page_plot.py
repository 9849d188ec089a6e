"""The plots on the start page: which models have a dot, and their scales."""

import itertools
from pathlib import Path

import pytest

from pipeline.hub.folder import read_index
from pipeline.hub.models import Model, group_models
from pipeline.hub.overview import Overview
from pipeline.hub.start_page_plot import MOST_CIRCLES, MOST_PLOTS, Drawing, list_plots


def make_models(hub: Path, *facts: tuple[str, int, float]) -> list[Model]:
    """Returns classifiers with the data sets, sizes and quoted accuracies of `facts`."""
    (model,) = [model for model in group_models(Overview.of(read_index(hub)).newest) if model.stem == "vit_s16"]
    assert model.main.accuracy
    models = []
    for number, (dataset, parameters, top1) in enumerate(facts):
        accuracy = model.main.accuracy._replace(top1=top1)
        handle, title = f"sayakpaul/m{number:04}_classification/1", f"M{number:04}"
        entry = model.main._replace(
            handle=handle, title=title, dataset=dataset, parameters=parameters, accuracy=accuracy
        )
        models.append(Model((entry,), f"m{number:04}"))
    return models


def drawings(models: list[Model]) -> tuple[Drawing, Drawing]:
    (plot,) = list_plots(models)
    return plot.wide, plot.narrow


def test_each_data_set_has_a_plot_of_its_own(published: Path) -> None:
    models = make_models(published, ("A", 10**6, 0.9), ("B", 10**7, 0.7), ("A", 10**8, 0.8), ("B", 10**8, 0.6))
    plots = list_plots(models)
    assert [(plot.dataset, plot.models) for plot in plots] == [("A", 2), ("B", 2)]
    for plot in plots:
        first, second = plot.wide.dots
        assert first.x < second.x
        assert first.y < second.y  # SVG counts downwards: the first is more accurate
    assert [label.text for label in plots[0].narrow.labels] == ["M0000", "M0002"]


def test_a_data_set_of_one_model_and_models_without_figures_have_no_plot(published: Path) -> None:
    assert list_plots(group_models(Overview.of(read_index(published)).newest)) == ()  # two models of two data sets
    models = make_models(published, ("A", 10**6, 0.9), ("A", 0, 0.7))
    assert list_plots(models) == ()


def test_the_data_sets_of_the_most_models_have_plots(published: Path) -> None:
    counts = {"few": 2, **{f"many {number}": 3 + number for number in range(MOST_PLOTS)}}
    facts = [(dataset, 10**6 + number, 0.5) for dataset, count in counts.items() for number in range(count)]
    datasets = [plot.dataset for plot in list_plots(make_models(published, *facts))]
    assert datasets == [f"many {number}" for number in reversed(range(MOST_PLOTS))]


@pytest.mark.parametrize(
    "sizes", [[22_050_664] * 2, [304_326_632] * 2, [1, 1], [303_000_000, 307_000_000], [307_082, 632_045_800]]
)
def test_models_of_one_size_have_a_scale(published: Path, sizes: list[int]) -> None:
    for drawn in drawings(make_models(published, *(("A", size, 0.8) for size in sizes))):
        assert len(drawn.x_ticks) >= 2
        assert len(drawn.y_ticks) >= 2
        places = [place for place, _ in drawn.x_ticks]
        assert all(after - before >= 42 for before, after in itertools.pairwise(places))
        frame = drawn.frame
        assert all(frame.left <= place <= frame.right for place in (*places, *(dot.x for dot in drawn.dots)))
        assert min(places) < max(dot.x for dot in drawn.dots)


def test_of_many_dots_some_on_the_front_have_names(published: Path) -> None:
    facts = [("A", 10**6 * (1 + number), 0.5 + 0.01 * (number % 7)) for number in range(40)]
    for drawn in drawings(make_models(published, *facts)):
        assert {label.text for label in drawn.labels} <= {f"M{number:04}" for number in range(7)}  # the first of each
        assert "M0006" in {label.text for label in drawn.labels}  # the most accurate one


def test_of_very_many_dots_each_place_is_drawn_once(published: Path) -> None:
    facts = [("A", 10**6, 0.5)] * MOST_CIRCLES + [("A", 10**8, 0.9)]
    for drawn in drawings(make_models(published, *facts)):
        assert drawn.is_dense
        assert drawn.labels == ()
        assert drawn.path("quoted").count("M") == 2
        assert drawn.path("measured") == ""
