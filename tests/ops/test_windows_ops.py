"""gather and blend_: geometry, and independence of how windows are split and ordered."""

from __future__ import annotations

import math

import pytest
import torch

from gencosmo.ops.blend import blend_, blend_finish_, blend_reference_, blend_weights
from gencosmo.ops.gather import gather
from tests.ops.cases import CASES, HALO, RAMP, SIZE, copies

SPLITS = [1, 3, 100]


@pytest.mark.parametrize("split", SPLITS)
def test_gather_in_pieces(split: int) -> None:
    arguments = CASES["gather"].arguments()
    whole = CASES["gather"].run(arguments)["out"]
    for first in range(0, len(whole), split):
        windows = arguments["windows"][first : first + split]
        part = torch.zeros(len(windows), 5, SIZE, SIZE)
        gather(arguments["fields"], arguments["layout"], windows, part)
        assert torch.equal(part, whole[first : first + split])


@pytest.mark.parametrize("corner", [(-100, 0), (0, 500), (-24, -24), (33, 20)])
def test_window_wholly_outside(corner: tuple[int, int]) -> None:
    arguments = CASES["gather"].arguments()
    out = torch.zeros(1, 5, SIZE, SIZE)
    gather(arguments["fields"], arguments["layout"], torch.tensor([[0, *corner]]), out)
    assert bool((out[0, 0] == 0).all() and torch.isinf(out[0, 1]).all())
    plane = arguments["fields"][2, : 33 * 20].view(33, 20)
    nearest = plane[min(max(corner[0], 0), 32), min(max(corner[1], 0), 19)]
    assert out[0, 2, 0, 0] == nearest


def test_window_of_one_pixel_plane_repeats_it() -> None:
    arguments = CASES["gather"].arguments()
    out = torch.zeros(1, 5, SIZE, SIZE)
    gather(arguments["fields"], arguments["layout"], torch.tensor([[1, -3, -4]]), out)
    offset = int(arguments["layout"][1, 0])
    assert bool((out[0, 2] == arguments["fields"][2, offset]).all())
    assert out[0, 1, 3, 4] == arguments["fields"][1, offset]
    assert int(torch.isinf(out[0, 1]).sum()) >= SIZE * SIZE - 1


@pytest.mark.parametrize("name", ["gather", "blend_"])
@pytest.mark.parametrize("plane", [-1, 5])
def test_window_of_no_plane(name: str, plane: int) -> None:
    arguments = CASES[name].arguments()
    arguments["windows"][2, 0] = plane
    with pytest.raises(ValueError, match=f"argument 'windows' row 2 names plane {plane} of 5"):
        CASES[name].call(**arguments)


@pytest.mark.parametrize("split", SPLITS)
def test_blend_in_pieces(split: int) -> None:
    arguments = CASES["blend_"].arguments()
    whole = CASES["blend_"].run(arguments)
    mine = copies(arguments)
    for first in range(0, len(mine["windows"]), split):
        part = slice(first, first + split)
        blend_(**{**mine, **{name: mine[name][part] for name in ("mean_w", "var_w", "windows")}})
    for name, value in whole.items():
        assert torch.equal(mine[name], value), name


@pytest.mark.parametrize("count", [300, 700])
def test_more_windows_over_a_pixel_than_a_block_has_threads(count: int) -> None:
    """CUDA looks for overlapping windows 256 at a time and lists 512 of them."""
    g = torch.Generator().manual_seed(count)
    windows = torch.cat([torch.zeros(count, 1), torch.randint(-8, 9, (count, 2), generator=g)], 1).long()
    mean, var = (torch.randn(count, 1, SIZE, SIZE, generator=g) for _ in range(2))
    layout = torch.tensor([[0, SIZE, SIZE, 0, 0, 0]])
    sums = {name: torch.zeros(SIZE * SIZE) for name in ("mean", "var", "weight")}
    asked = {"mean_w": mean, "var_w": var, "windows": windows, "layout": layout, "halo": HALO, "ramp": RAMP}
    got, want = copies(sums), copies(sums)
    blend_(**asked, **got)
    blend_reference_(**asked, **want)
    for name in sums:
        assert torch.allclose(got[name], want[name], rtol=1e-5, atol=1e-4), name


@pytest.mark.parametrize("ramp", [0, 1, 4, 6])
def test_weights_of_neighbours_sum_to_one(ramp: int) -> None:
    core = SIZE - 2 * HALO
    weights = blend_weights(SIZE, HALO, ramp, torch.float64)
    total = torch.zeros(5 * core + SIZE, dtype=torch.float64)
    for k in range(6):
        total[k * core : k * core + SIZE] += weights
    middle = total[HALO + ramp : HALO + 6 * core - ramp]
    assert float((middle - 1).abs().max()) < 1e-15


def test_constant_windows_come_back_constant_and_halos_are_not_read() -> None:
    arguments = CASES["blend_"].arguments()
    for name in ("mean", "var", "weight"):
        arguments[name].zero_()
    inside = slice(HALO - RAMP, SIZE - HALO + RAMP)
    for name, value in (("mean_w", 3.0), ("var_w", 0.5)):
        arguments[name].fill_(math.nan)
        arguments[name][:, :, inside, inside] = value
    blend_(**arguments)
    blend_finish_(arguments["mean"], arguments["var"], arguments["weight"])
    for offset, height, width, *_ in arguments["layout"].tolist():
        here = slice(offset, offset + height * width)
        weight = arguments["weight"][here]
        assert float(weight.max()) < 1 + 1e-6
        assert float(weight.min()) >= 0.25  # a corner of the plane lacks the neighbours beyond it
        assert float((arguments["mean"][here] - 3).abs().max()) < 2e-6
        assert float((arguments["var"][here] - 0.5).abs().max()) < 1e-6


def test_finish_leaves_pixels_without_weight() -> None:
    mean, var, weight = torch.tensor([3.0, 4.0]), torch.tensor([5.0, 6.0]), torch.tensor([0.0, 2.0])
    blend_finish_(mean, var, weight)
    assert mean.tolist() == [3, 2]
    assert var.tolist() == [5, 3]


@pytest.mark.parametrize(("halo", "ramp"), [(-1, 0), (6, 7), (12, 1), (6, -1), (1, 12)])
def test_sizes_that_do_not_fit(halo: int, ramp: int) -> None:
    arguments = {**CASES["blend_"].arguments(), "halo": halo, "ramp": ramp}
    with pytest.raises(ValueError, match="does not fit halo"):
        blend_(**arguments)
