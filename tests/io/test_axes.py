"""Axes: the user's order in, TCZYX inside, the user's order out."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gencosmo.errors import InputError, UsageError
from gencosmo.io.axes import LETTERS, Axes, Plane, parse_axes

ORDERS = [
    "".join(order)
    for number in range(2, 7)
    for order in permutations(LETTERS, number)
    if {"Y", "X"} <= set(order)
]  # fmt: skip


@given(st.sampled_from(ORDERS), st.lists(st.integers(1, 4), min_size=6, max_size=6))
def test_any_order_comes_back(letters, sizes):
    axes = Axes(letters, tuple(sizes[: len(letters)]))
    array = np.random.default_rng(0).integers(0, 1000, axes.shape)
    inside = axes.to_inside(array)
    assert inside.shape == axes.inside
    assert np.array_equal(axes.from_inside(inside), array)


@given(st.sampled_from(ORDERS), st.lists(st.integers(1, 3), min_size=6, max_size=6), st.data())
def test_a_plane_is_the_same_by_either_way(letters, sizes, data):
    axes = Axes(letters, tuple(sizes[: len(letters)]))
    array = np.arange(np.prod(axes.shape)).reshape(axes.shape)
    plane = data.draw(st.sampled_from(list(axes.planes())))
    rows, cols = (slice(data.draw(st.integers(0, size - 1)), size) for size in axes.inside[3:])
    truth = axes.to_inside(array)[plane.t, plane.c, plane.z]
    assert np.array_equal(axes.plane(array, plane), truth)
    assert np.array_equal(axes.plane(array, plane, (rows, cols)), truth[rows, cols])


def test_planes_are_all_and_in_order():
    axes = Axes("TCZYX", (2, 3, 4, 5, 6))
    planes = list(axes.planes())
    assert planes == sorted(planes) and len(set(planes)) == 24
    assert planes[-1] == Plane(1, 2, 3)


def test_what_the_file_says_is_taken_and_axes_of_one_pixel_are_dropped():
    assert parse_axes("ZCYX", (5, 2, 30, 40)) == Axes("ZCYX", (5, 2, 30, 40))
    assert parse_axes("QYX", (1, 30, 40)) == Axes("YX", (30, 40))
    assert parse_axes("QYX", (3, 30, 40), asked="zyx") == Axes("ZYX", (3, 30, 40))
    assert parse_axes("QQYX", (1, 3, 30, 40), asked="CYX") == Axes("CYX", (3, 30, 40))


@pytest.mark.parametrize(
    ("told", "shape", "hint"),
    [("QYX", (4, 1000, 1000), "--axes CYX"), ("QYX", (1000, 1000, 3), "--axes YXC"), ("QQYX", (2, 3, 8, 8), "ZCYX")],
)
def test_unnamed_axes_are_an_error_with_an_example(told, shape, hint):
    with pytest.raises(InputError) as caught:
        parse_axes(told, shape, where="x.tif")
    assert caught.value.code == "axes"
    assert str(shape) in caught.value.message and hint in caught.value.hint


@pytest.mark.parametrize("asked", ["YY", "CY", "YXQ", "", "TCZYXSS"])
def test_letters_that_make_no_axes(asked):
    with pytest.raises(UsageError) as caught:
        parse_axes("QYX", (3, 30, 40), asked=asked)
    assert caught.value.code == "axes"


def test_the_wrong_number_of_letters():
    with pytest.raises(UsageError, match=r"names 4 axes, x.tif has shape \(3, 30, 40\)"):
        parse_axes("QYX", (3, 30, 40), asked="TCYX", where="x.tif")
    with pytest.raises(InputError, match="zero pixels"):
        parse_axes("CYX", (0, 30, 40))
