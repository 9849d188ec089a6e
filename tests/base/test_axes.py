"""The axes of plots: where values lie, which ticks there are, and where labels go."""

import pytest

from pipeline.base.axes import RIGHT, Axis, linear_ticks, log_ticks, percent_label, place_labels

TOP, BOTTOM = 90, 424


def test_an_axis_places_values_between_its_ends() -> None:
    axis = Axis(0.5, 0.9, BOTTOM, TOP)
    assert [axis.place(value) for value in (0.5, 0.7, 0.9)] == [BOTTOM, (BOTTOM + TOP) / 2, TOP]
    assert axis.place(0.6) == 340.5


def test_a_logarithmic_axis_has_equal_distances_for_equal_factors() -> None:
    axis = Axis(1e-3, 1e1, 0, 400, is_log=True)
    assert [axis.place(value) for value in (1e-3, 1e-2, 1e-1, 1, 10)] == [0, 100, 200, 300, 400]


def test_an_axis_around_values_has_room_on_both_sides() -> None:
    assert Axis.around([1.0, 3.0], (0, 100), 0.25, 0.1) == Axis(0.5, 3.5, 0, 100)
    assert Axis.around([2.0], (0, 100), 0.25, 0.1) == Axis(1.9, 2.1, 0, 100)
    axis = Axis.around([10.0, 1000.0], (0, 100), 0.5, 0.1, is_log=True)
    assert (axis.low, axis.high) == pytest.approx((1, 10_000))


def test_ticks_are_round() -> None:
    assert log_ticks(200, 4000) == [200, 500, 1000, 2000]
    assert linear_ticks(0.747, 0.862) == pytest.approx([0.76, 0.78, 0.80, 0.82, 0.84, 0.86])


def test_ticks_have_places_and_labels() -> None:
    assert Axis(0, 1, 0, 100).ticks(percent_label, [0, 0.125, 1]) == [(0, "0 %"), (12.5, "12.5 %"), (100, "100 %")]
    assert Axis(1, 100, 0, 100, is_log=True).ticks(str) == [
        (0, "1.0"), (15.1, "2.0"), (34.9, "5.0"), (50, "10.0"), (65.1, "20.0"), (84.9, "50.0"), (100, "100.0"),
    ]  # fmt: skip


def test_labels_overlap_neither_each_other_nor_dots() -> None:
    points = [(300.0, 200.0, "first"), (310.0, 203.0, "second"), (RIGHT - 8.0, 100.0, "at the edge")]
    first, second, edge = place_labels(points, [(330.0, 200.0)])
    assert first != second
    assert edge == (RIGHT - 18.0, 105.0, "end")
    assert (first[0], first[2]) != (310.0, "start")  # a dot is there
