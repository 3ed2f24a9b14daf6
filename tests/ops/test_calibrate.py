"""calibrate_: which bin a pixel is in, what stays untouched, and the limits that hold for any table."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gencosmo.ops.calibrate import calibrate_, calibration_bins
from tests.ops.cases import CASES


def windows(sigma: list[float], spread: list[float], rough: list[float]) -> tuple[Tensor, Tensor]:
    win, local = torch.zeros(1, 5, 1, len(sigma)), torch.ones(1, 5, 1, len(sigma))
    win[0, 1, 0], local[0, 2, 0], local[0, 3, 0] = torch.tensor(sigma), torch.tensor(spread), torch.tensor(rough)
    believe(win)
    return win, local


def believe(win: Tensor) -> None:
    """Surfaces so far apart that no mean lies beyond both."""
    win[:, 2], win[:, 4] = -1e9, 1e9


def beyond(mean: float, var: float, *, rough: float = 1.0, spread: float = 1.0, sigma: float = math.inf) -> float:
    """The calibrated mean of one pixel between surfaces at 2 and 5, whose variance is 4."""
    win, local = windows([sigma], [spread], [rough])
    win[0, 2], win[0, 3], win[0, 4] = 5.0, 4.0, 2.0
    out, none = torch.full((1, 1, 1, 1), mean), torch.zeros(0)
    calibrate_(out, torch.full_like(out, var), win, local, none, none, torch.ones(2, 1), torch.zeros(2, 1))
    return float(out)


@pytest.mark.parametrize("mean", [2.0, 3.3, 5.0, 5.5, 1.5])
def test_between_the_surfaces_and_their_room_the_network_is_believed(mean: float) -> None:
    assert beyond(mean, 100.0) == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize(("mean", "kept"), [(9.5, 5.5), (-2.5, 1.5)])
def test_what_lies_beyond_is_shared_by_the_variances(mean: float, kept: float) -> None:
    """A witness of the surfaces' variance, 4, has half of it; a certain one all, a bewildered one nothing."""
    assert beyond(mean, 4.0) == pytest.approx(kept + (mean - kept) / 2)
    assert beyond(mean, 12.0) == pytest.approx(kept + (mean - kept) / 4)
    assert beyond(mean, 0.0) == pytest.approx(mean)
    assert beyond(mean, 4e8) == pytest.approx(kept, abs=1e-5)


def test_the_room_is_half_a_noise_or_half_the_roughness() -> None:
    assert beyond(9.5, 4e8, rough=0.2, spread=0.2) == pytest.approx(5.1, abs=1e-5)
    assert beyond(9.5, 4e8, rough=30.0, spread=30.0) == pytest.approx(5.5, abs=1e-5)


def test_where_the_pixels_around_are_smooth_the_network_is_believed() -> None:
    """A well-sampled star has a core above every surface through its wings."""
    assert beyond(9.5, 12.0, spread=1 / 0.4) == pytest.approx(9.5)
    assert beyond(9.5, 12.0, spread=1 / 0.6) == pytest.approx(5.5 + 4 * 4 / (4 + 6), rel=1e-5)


def test_what_has_a_datum_is_not_shared() -> None:
    assert beyond(9.5, 12.0, sigma=3.0) == pytest.approx(9.5)


def test_a_pixel_on_an_edge_belongs_below_it() -> None:
    """As the logarithms do that a calibration is measured with; unknown pixels have a row of their own."""
    above = math.nextafter(2.0, 3.0)
    sigma = [0.0, 0.5, 1.0, 2.0, above + 1e-6, 100.0, math.inf]
    win, local = windows(sigma, [0.1, 1.0, 1.5, 3.0, 3.5, 9.0, 9.0], [1.0] * 7)
    row, column = calibration_bins(win, local, torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0]))
    assert row.flatten().tolist() == [0, 0, 0, 1, 2, 2, 3]
    assert column.flatten().tolist() == [0, 0, 1, 1, 2, 2, 2]


def test_every_bin_gets_its_own_numbers() -> None:
    """The kernel looks where :func:`calibration_bins` says, up to the corners of the table."""
    levels, scales = torch.tensor([0.5, 2.0, 8.0]), torch.tensor([1.0, 4.0])
    sigma, spread = torch.meshgrid(
        torch.tensor([0.1, 1.0, 4.0, 16.0, math.inf]), torch.tensor([0.3, 2.0, 9.0]), indexing="ij"
    )
    win, local = windows(sigma.flatten().tolist(), spread.flatten().tolist(), [1.0] * 15)
    factors, shifts = torch.arange(15.0).view(5, 3) / 1e5, torch.arange(15.0).view(5, 3) + 100
    mean, var = torch.zeros(1, 1, 1, 15), torch.ones(1, 1, 1, 15)
    calibrate_(mean, var, win, local, levels, scales, factors, shifts)
    assert torch.equal(var.flatten(), factors.flatten())
    torch.testing.assert_close(mean.flatten(), (shifts * factors.sqrt()).flatten())


def test_nothing_is_shifted_where_nothing_is_known() -> None:
    arguments = CASES["calibrate_"].arguments()
    arguments["local"][:, 4] = 0
    believe(arguments["win"])
    assert torch.equal(CASES["calibrate_"].run(arguments)["mean"], arguments["mean"])


def test_exact_pixels_keep_their_bits() -> None:
    arguments = CASES["calibrate_"].arguments()
    exact = arguments["win"][:, 1:2] == 0
    assert bool(exact.any())
    for name in ("mean", "var"):
        arguments[name][exact] = -0.0
    arguments["factors"][:] = math.nan
    for value in CASES["calibrate_"].run(arguments).values():
        assert bool((value[exact].view(torch.int32) == torch.tensor(-0.0).view(torch.int32)).all())
        assert bool(value[~exact].isnan().all())


@pytest.mark.parametrize("factor", [0.0, 0.3, 1e6])
def test_the_variance_stays_within_the_level(factor: float) -> None:
    arguments = CASES["calibrate_"].arguments()
    sigma = arguments["win"][:, 1:2]
    believe(arguments["win"])
    arguments["factors"][:], arguments["shifts"][:] = factor, 0
    got, before = CASES["calibrate_"].run(arguments), arguments["var"]
    moving = sigma > 0
    want = torch.minimum(factor * before, sigma * sigma)
    assert torch.equal(got["var"][moving], want[moving])
    assert torch.equal(got["mean"], arguments["mean"])


def test_no_edges_leave_two_rows() -> None:
    arguments = CASES["calibrate_"].arguments()
    empty = torch.zeros(0)
    arguments |= {"levels": empty, "scales": empty, "shifts": torch.zeros(2, 1)}
    arguments["factors"] = torch.tensor([[0.5], [0.25]])
    got, sigma = CASES["calibrate_"].run(arguments)["var"], arguments["win"][:, 1:2]
    unknown = torch.isinf(sigma)
    assert torch.equal(got[unknown], 0.25 * arguments["var"][unknown])


@pytest.mark.parametrize("name", ["factors", "shifts"])
def test_a_table_that_does_not_fit_its_edges(name: str) -> None:
    arguments = CASES["calibrate_"].arguments()
    arguments[name] = arguments[name][:-1].contiguous()
    with pytest.raises(ValueError, match=rf"gencosmo.ops.calibrate_: argument '{name}' expected shape \(7, 4\), got"):
        CASES["calibrate_"].call(**arguments)
