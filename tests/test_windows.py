"""Canvas and windows: geometry that must not depend on what else is computed."""

from __future__ import annotations

import pytest
import torch

from gencosmo.errors import UsageError
from gencosmo.windows import Canvas, WindowGrid

SHAPES = [(5, 7), (1, 1), (16, 3)]


def make_canvas() -> Canvas:
    values = [torch.arange(h * w, dtype=torch.float32).reshape(h, w) + 100 * p for p, (h, w) in enumerate(SHAPES)]
    sigma = [torch.full(shape, 0.5) for shape in SHAPES]
    sigma[0][2, 3] = torch.inf
    values[0][2, 3] = torch.nan
    return Canvas.from_planes(values, sigma, seeds=[1, 2**64 - 1, 3], origins=[(0, 0), (-4, 9), (7, 7)], keys=[0, 1, 2])


def test_planes_are_views_at_aligned_offsets() -> None:
    canvas = make_canvas()
    assert (canvas.layout[:, 0] % 16 == 0).all()
    for p, shape in enumerate(SHAPES):
        assert canvas.plane("z", p).shape == shape
    canvas.plane("z", 2)[3, 1] = -1.0
    offset = int(canvas.layout[2, 0])
    assert canvas.fields[0, offset + 3 * 3 + 1] == -1.0
    assert int(canvas.pixels().sum()) == sum(h * w for h, w in SHAPES)
    assert canvas.seed.tolist() == [1, -1, 3]


def test_unknown_values_are_ignored_and_never_nan() -> None:
    canvas = make_canvas()
    assert canvas.plane("z", 0)[2, 3] == 0
    assert torch.isinf(canvas.plane("sigma_obs", 0)[2, 3])


@pytest.mark.parametrize(
    ("value", "sigma"),
    [
        (torch.zeros(2, 3), torch.ones(3, 2)),
        (torch.zeros(2, 2), -torch.ones(2, 2)),
        (torch.zeros(2, 2), torch.full((2, 2), torch.nan)),
        (torch.full((2, 2), torch.nan), torch.ones(2, 2)),
        (torch.zeros(4), torch.ones(4)),
    ],
)
def test_refuses_what_does_not_fit(value: torch.Tensor, sigma: torch.Tensor) -> None:
    with pytest.raises(UsageError):
        Canvas.from_planes([value], [sigma], seeds=[0])


def test_repeat_numbers_samples_in_the_key() -> None:
    canvas = make_canvas()
    many = canvas.repeat(3, first=5)
    assert many.layout[:, 5].tolist() == [s << 8 | c for s in (5, 6, 7) for c in (0, 1, 2)]
    for p in range(9):
        assert torch.equal(many.plane("z", p), canvas.plane("z", p % 3))
    many.plane("z", 0)[0, 0] = 77.0
    assert many.plane("z", 3)[0, 0] == 0 == canvas.plane("z", 0)[0, 0]


def unknown_at(canvas: Canvas, p: int, points: list[tuple[int, int]]) -> torch.Tensor:
    unknown = torch.zeros(canvas.size, dtype=torch.bool)
    for row, col in points:
        canvas.view(unknown, p)[row, col] = True
    return unknown


@pytest.mark.parametrize("ramp", [0, 2, 4])
def test_every_unknown_pixel_has_full_weight(ramp: int) -> None:
    """The trapezoids of the planned windows add up to one on every unknown pixel inside."""
    core, halo = 8, 4
    canvas = Canvas.from_planes([torch.zeros(30, 41)], [torch.ones(30, 41)], seeds=[0], origins=[(-13, 1005)])
    points = [(0, 0), (29, 40), (12, 13), (13, 11), (20, 19), (5, 5)]
    unknown = unknown_at(canvas, 0, points)
    windows = WindowGrid(core, halo, ramp).plan(canvas, unknown)
    weight = torch.zeros(30, 41)
    x = torch.arange(core + 2 * halo) - halo + 0.5
    axis = ((x >= 0) & (x < core)).float()
    if ramp:
        axis = ((x + ramp) / (2 * ramp)).clamp(0, 1) * ((core + ramp - x) / (2 * ramp)).clamp(0, 1)
    for _p, row, col in windows.tolist():
        for i in range(len(x)):
            for j in range(len(x)):
                if 0 <= row + i < 30 and 0 <= col + j < 41:
                    weight[row + i, col + j] += axis[i] * axis[j]
    inner = [(12, 13), (13, 11), (20, 19), (5, 5)]
    assert all(abs(float(weight[point]) - 1) < 1e-6 for point in inner)
    assert all(float(weight[point]) > 0.2 for point in points)


def test_windows_are_fixed_to_the_sky() -> None:
    """A section read from the middle gets the windows that the whole image has there."""
    grid = WindowGrid(8, 4, 2)
    whole = Canvas.from_planes([torch.zeros(64, 64)], [torch.ones(64, 64)], seeds=[0], origins=[(3, -5)])
    part = Canvas.from_planes([torch.zeros(30, 30)], [torch.ones(30, 30)], seeds=[0], origins=[(13, 7)])
    points = [(9, 9), (14, 21), (15, 15)]
    in_part = grid.plan(part, unknown_at(part, 0, points))
    in_whole = grid.plan(whole, unknown_at(whole, 0, [(r + 10, c + 12) for r, c in points]))
    assert torch.equal(in_part[:, 1:] + torch.tensor([10, 12]), in_whole[:, 1:])
    absolute = in_part[:, 1:] + 4 + torch.tensor([13, 7])
    assert (absolute % 8 == 0).all()


def test_only_windows_with_unknown_pixels() -> None:
    canvas = make_canvas()
    assert WindowGrid(8, 4).plan(canvas, torch.zeros(canvas.size, dtype=torch.bool)).shape == (0, 3)
    one = WindowGrid(8, 4).plan(canvas, unknown_at(canvas, 2, [(1, 1)]))
    assert one.tolist() == [[2, 1 - 4, 1 - 4]]


@pytest.mark.parametrize("sizes", [(0, 4, 0), (8, -1, 0), (8, 4, 5), (6, 4, 4), (8, 4, -1)])
def test_grid_refuses_impossible_sizes(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError):
        WindowGrid(*sizes)


@pytest.mark.parametrize(("stride", "step"), [(1, 1), (4, 4), (4, 8), (2, 32)])
def test_crops_hold_every_unknown_pixel_with_its_halo(stride: int, step: int) -> None:
    """Law: what a window shares of an unknown pixel's surroundings, it keeps; no more than the plane and a stride."""
    grid = WindowGrid(12, 6, 2)
    canvas = Canvas.from_planes(
        [torch.zeros(41, 30), torch.zeros(9, 5)],
        [torch.ones(41, 30), torch.ones(9, 5)],
        seeds=[0, 0],
        origins=[(3, -5), (0, 0)],
    )
    points = {0: [(0, 0), (17, 29), (18, 11), (40, 3)], 1: [(8, 4)]}
    wanted = unknown_at(canvas, 0, points[0]) | unknown_at(canvas, 1, points[1])
    windows = grid.plan(canvas, wanted)
    crops = grid.crops(canvas, wanted, windows, stride, step)
    assert len(crops) == len(windows) > 4
    for (p, *corner), crop in zip(windows.tolist(), crops.reshape(-1, 2, 2).tolist(), strict=True):
        sides = canvas.layout[p, 1:3].tolist()
        for axis, (low, high) in enumerate(crop):
            assert 0 <= low < high <= grid.size
            assert high - low <= sides[axis] + 2 * stride
        for point in points[p]:
            inside = [
                grid.halo - grid.ramp <= at - c < grid.size - grid.halo + grid.ramp
                for at, c in zip(point, corner, strict=True)
            ]
            if not all(inside):
                continue
            for at, c, side, (low, high) in zip(point, corner, sides, crop, strict=True):
                assert low <= max(at - grid.halo, 0) - c or low == 0
                assert high >= min(at + grid.halo + 1, side) - c or high == grid.size


def test_a_lone_pixel_costs_its_halo_only() -> None:
    grid = WindowGrid(64, 8, 4)
    canvas = Canvas.from_planes([torch.zeros(200, 200)], [torch.ones(200, 200)], seeds=[0])
    wanted = unknown_at(canvas, 0, [(100, 100)])
    windows = grid.plan(canvas, wanted)
    assert grid.crops(canvas, wanted, windows, 8, 8).tolist() == [[32, 56, 32, 56]]
    assert windows.tolist() == [[0, 64 - 8, 64 - 8]]
