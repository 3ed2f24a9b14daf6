"""What kriging of holes must return whatever the data, and how near it comes to the best linear estimate."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from gencosmo.ops.biharmonic_fill import hole_components
from gencosmo.ops.kriging_fill import (
    BLOCK,
    MOST_STRETCH,
    NEAREST,
    REACH,
    correlation_shapes,
    find_cells,
    gradient_weights,
    kriging_fill_,
    kriging_fill_reference_,
    kriging_workspace,
    metric,
    neighbour_offsets,
)
from gencosmo.priors.bases import tile_windows
from tests.ops.cases import CASES, copies, planes
from tests.ops.law import assert_law
from tests.ops.test_fills import one_plane

SMOOTH = 4


def krige(z: Tensor, sigma: Tensor, base: float = 0.0, base_var: float = 1e8, directed: bool = False) -> Tensor:
    """Row ``smooth`` of one plane; -77 where nothing was written."""
    layout, fields = one_plane(z, sigma)
    fields[2], fields[3], fields[SMOOTH] = base, base_var, -77.0
    cells = find_cells(*hole_components(fields[1], layout), layout)
    scratch = torch.full((kriging_workspace(cells),), math.nan)
    kriging_fill_(
        fields, layout, cells.blocks, cells.pixels, cells.cell_of, cells.cells, neighbour_offsets(),
        correlation_shapes(), gradient_weights(directed), scratch, 6.0,
    )  # fmt: skip
    return fields[SMOOTH, : z.numel()].view(z.shape)


def holes(shape: tuple[int, int], seed: int = 0) -> Tensor:
    """A box, a column and scattered pixels."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.1
    mask[10:16, 12:17] = True
    mask[:, 30] = True
    return mask


def fill(truth: Tensor, hole: Tensor, sigma: Tensor | float = 0.0, directed: bool = False) -> Tensor:
    noise = torch.where(hole, math.inf, torch.as_tensor(sigma))
    return krige(torch.where(hole, 0.0, truth), noise, directed=directed)


def gaussian_field(side: int, length: float, seed: int, across: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A draw of unit variance with a Gaussian correlation on a torus, and its covariance by offset (side, side).

    `length` holds along the diagonal, `across` (the same by default) across it.
    """
    at = (np.arange(side) + side // 2) % side - side // 2
    along, over = (at[:, None] + sign * at[None] for sign in (1, -1))
    covariance = np.exp(-0.25 * ((along / length) ** 2 + (over / (across or length)) ** 2))
    power = np.maximum(np.fft.fft2(covariance).real, 0)
    noise = np.random.default_rng(seed).normal(size=(side, side))
    return np.fft.ifft2(np.fft.fft2(noise) * np.sqrt(power)).real, covariance


def best_estimate(seen: np.ndarray, hole: np.ndarray, covariance: np.ndarray, noise: float) -> np.ndarray:
    """Simple kriging of all hidden pixels from all others with the true covariance, by linear algebra."""
    side = len(hole)
    to, of = (np.argwhere(part) for part in (hole, ~hole))
    between = [covariance[tuple(((a[:, None] - of[None]) % side).transpose(2, 0, 1))] for a in (to, of)]
    return between[0] @ np.linalg.solve(between[1] + noise**2 * np.eye(len(of)), seen[~hole])


def test_a_constant_comes_back() -> None:
    hole = holes((48, 50))
    got = fill(torch.full((48, 50), 7.5), hole)
    assert float((got[hole] - 7.5).abs().max()) < 1e-4
    assert bool((got[~hole] == -77).all())


def test_units_and_pedestal_do_not_matter() -> None:
    truth = torch.from_numpy(gaussian_field(48, 2.5, 1)[0]).float()
    hole = holes((48, 48))
    once, other = fill(truth, hole), fill(1000 * truth + 300, hole)
    assert float((1000 * once + 300 - other)[hole].abs().max()) < 0.02 * 1000


@pytest.mark.parametrize(
    ("length", "noise", "more"),
    [(1.2, 0.0, 0.11), (2.5, 0.0, 0.06), (2.5, 0.3, 0.04), (5.0, 0.5, 0.07), (0.3, 0.0, 0.03)],
)
def test_near_the_best_linear_estimate(length: float, noise: float, more: float) -> None:
    """Fine and coarse fields of unit variance, unstated noise: rms error above that with the true covariance."""
    errors: list[tuple[float, float, float]] = []
    for seed in range(4):
        truth, covariance = gaussian_field(48, length, seed)
        hole = holes((48, 48), seed)
        seen = truth + noise * np.random.default_rng(100 + seed).normal(size=truth.shape)
        best = best_estimate(seen, hole.numpy(), covariance, max(noise, 1e-4))
        data = torch.from_numpy(seen).float()
        got = fill(data, hole).numpy()[hole.numpy()]
        sigma = torch.where(hole, math.inf, 0.0)[None]
        surface = tile_windows(torch.where(hole, 0.0, data)[None], sigma, 900.0)[0, SMOOTH].numpy()[hole.numpy()]
        wanted = truth[hole.numpy()]
        errors.append(tuple(float(np.mean((x - wanted) ** 2)) for x in (got, best, surface)))  # type: ignore[arg-type]
    ours, least, biharmonic = (math.sqrt(x) for x in np.mean(errors, axis=0))
    assert ours < least + more
    assert ours < 0.85 * biharmonic


def test_stated_noise_counts() -> None:
    """On a constant a mean weighted by the stated noise is the best there is."""
    g = torch.Generator().manual_seed(3)
    sigma = torch.where(torch.rand(64, 64, generator=g) < 0.5, 0.1, 3.0)
    hole = holes((64, 64))
    got = krige(torch.where(hole, 0.0, sigma * torch.randn(64, 64, generator=g)), torch.where(hole, math.inf, sigma))
    assert float(got[hole].square().mean().sqrt()) < 0.15  # a plain mean of 32 neighbours: 0.37


def test_far_from_everything_nothing_is_written() -> None:
    hole = torch.zeros(64, 64, dtype=torch.bool)
    hole[10:50, 10:50] = True
    got = fill(torch.randn(64, 64, generator=torch.Generator().manual_seed(4)), hole)
    assert bool((got[12 + REACH : 48 - REACH, 12 + REACH : 48 - REACH] == -77).all())
    assert bool((got[10:12, 10:50] != -77).all())
    assert bool((krige(torch.zeros(20, 20), torch.full((20, 20), math.inf)) == -77).all())


def test_result_stays_near_the_pyramid() -> None:
    truth = torch.randn(32, 32, generator=torch.Generator().manual_seed(5))
    hole = holes((32, 32))
    got = krige(torch.where(hole, 0.0, truth), torch.where(hole, math.inf, 0.0), base=5.0, base_var=1e-4)
    assert 0.05 < float((got[hole] - 5).abs().max()) <= 6 * 0.01 * (1 + 1e-4)


def test_result_stays_near_the_nearest_beside_a_step() -> None:
    """Law: never farther beyond its eight nearest neighbours than they lie apart, even beside a saturated column."""
    g = torch.Generator().manual_seed(7)
    truth = torch.randn(64, 64, generator=g) + torch.linspace(0, 40, 64)[:, None]
    truth[:, 40:44] += 3000 * torch.rand(64, 4, generator=g).add(4).log()
    hole = holes((64, 64)) & (truth < 500)
    hole[20:25, 33:37] = True
    got = fill(truth, hole)
    offsets = neighbour_offsets().numpy().astype(int)
    for row, col in np.argwhere(hole.numpy()):
        at = offsets + np.array([row, col])
        at = at[((at >= 0) & (at < 64)).all(1)]
        nearest = truth[at[:, 0], at[:, 1]][~hole[at[:, 0], at[:, 1]]][:NEAREST]
        apart = float(nearest.max() - nearest.min()) * (1 + 1e-5)
        assert float(nearest.min()) - apart <= float(got[row, col]) <= float(nearest.max()) + apart


def test_cells_are_the_blocks_of_the_pixels() -> None:
    layout, n = planes(((17, 9), (3, 40), (24, 24)))
    sigma = torch.where(torch.rand(n, generator=torch.Generator().manual_seed(6)) < 0.2, math.inf, 0.0)
    pixels, starts, of = hole_components(sigma, layout)
    cells = find_cells(pixels, starts, of, layout)
    assert cells.blocks.tolist() == [0, 6, 11, 20]
    assert len({tuple(cell) for cell in cells.cells.tolist()}) == len(cells.cells)
    plane = torch.repeat_interleave(of, starts.diff())
    for at, p, cell in zip(pixels.tolist(), plane.tolist(), cells.cell_of.tolist(), strict=True):
        row, col = divmod(at - int(layout[p, 0]), int(layout[p, 2]))
        assert cells.cells[cell].tolist() == [p, row // BLOCK, col // BLOCK]


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("blocks", 10**6, "not the running number"),
        ("pixels", 10**6, "lies outside its plane"),
        ("pixels", -1, "lies outside its plane"),
        ("cell_of", 10**6, "is no cell"),
        ("cells", 99, "names plane 99 of 5"),
        ("offsets", 60, "reach too far"),
    ],
)
def test_indices_are_checked(name: str, entry: int, message: str) -> None:
    arguments = copies(CASES["kriging_fill_"].arguments())
    arguments[name].view(-1)[3 if name == "cells" else 2] = entry
    with pytest.raises(ValueError, match=f"argument '{name}' .*{message}"):
        kriging_fill_(**arguments)


def test_tables_and_workspace_must_be_long_enough() -> None:
    for name, cut in (("shapes", np.s_[:, :-1]), ("workspace", np.s_[:-1])):
        arguments = copies(CASES["kriging_fill_"].arguments())
        arguments[name] = arguments[name][cut].clone()
        with pytest.raises(ValueError, match=f"argument '{name}' expected"):
            kriging_fill_(**arguments)


def test_truth_where_correlations_are_the_same_in_all_directions() -> None:
    arguments = CASES["kriging_fill_"].arguments(3) | {"weights": gradient_weights(directed=False)}
    got = CASES["kriging_fill_"].run(arguments)["fields"]
    asked = [arguments[name] for name in ("layout", "pixels", "cell_of", "cells", "limit")]
    truth, plain = arguments["fields"].double(), arguments["fields"].clone()
    for fields in (truth, plain):
        kriging_fill_reference_(fields, *asked, directed=False)
    for row in range(5):
        assert_law(got[row], truth[row], plain[row], f"row {row}")


@pytest.mark.parametrize(("across", "best", "worst"), [(6.0, 0.0, 0.85), (2.0, 0.97, 1.03)])
def test_along_fibres_and_where_there_are_none(across: float, best: float, worst: float) -> None:
    """rms error with directed distances over that without: less along fibres, the same where directions are alike."""
    squares = np.zeros(2)
    for seed in range(6):
        truth = torch.from_numpy(gaussian_field(64, 2.0, seed, across)[0]).float()
        data = truth + 0.05 * torch.randn(64, 64, generator=torch.Generator().manual_seed(seed))
        hole = holes((64, 64), seed)
        squares += [float((fill(data, hole, directed=d) - truth)[hole].square().mean()) for d in (True, False)]
    assert best < math.sqrt(squares[0] / squares[1]) < worst


def test_noise_has_no_direction() -> None:
    data = torch.randn(64, 64, generator=torch.Generator().manual_seed(8))
    hole = holes((64, 64))
    with_them, without = (fill(data, hole, directed=d)[hole] for d in (True, False))
    assert float((with_them - without).square().mean().sqrt()) < 0.05


def test_turned_with_the_image() -> None:
    truth = torch.from_numpy(gaussian_field(48, 2.0, 9, 6.0)[0]).float()
    hole = holes((48, 48))
    upright = fill(truth, hole, directed=True)
    turned = fill(truth.rot90().contiguous(), hole.rot90().contiguous(), directed=True).rot90(-1)
    # blocks and ties among neighbours do not turn with the image, pixels far from either agree
    assert float((upright - turned)[hole].abs().median()) < 0.02


def test_distances_are_shorter_along_an_edge() -> None:
    rows = np.mgrid[:41, :41][0]
    stripes = np.sin(rows / 2.0)
    matrix = metric(stripes, np.zeros_like(stripes), 20, 20, 0.0)
    assert np.allclose(matrix, np.diag([MOST_STRETCH, 1 / MOST_STRETCH]), atol=1e-9)
    assert np.allclose(np.linalg.det(metric(stripes + stripes.T / 2, 0 * stripes, 20, 20, 0.01)), 1)  # areas stay
    noisy = metric(stripes, np.zeros_like(stripes), 20, 20, 100.0)
    assert np.allclose(noisy, np.eye(2), atol=0.01)
    assert np.array_equal(metric(np.ones((9, 9)), np.full((9, 9), math.inf), 4, 4, 0.0), np.eye(2))


def test_a_covariance_that_is_none_leaves_the_pixels_as_they_were() -> None:
    case = CASES["kriging_fill_"]
    arguments = case.arguments()
    before = arguments["fields"][4]
    usual = case.run(arguments)["fields"][4]
    far = arguments["shapes"].clone()
    far[:, 7 * 16 + 37 :] = 3.0  # farther than any pair that is counted, and more alike than a pixel is to itself
    odd = case.run(arguments | {"shapes": far})["fields"][4]
    assert bool(torch.isfinite(odd).all())
    assert int((odd != before).sum()) < 0.1 * int((usual != before).sum())
