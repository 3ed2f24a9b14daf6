"""The local spectrum from variances at a few levels, and the corrections of a stated spread."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gencosmo.operators.fourier import irfft2, rfft2
from gencosmo.sampling.spectrum import CENTRES, TRAINED_SPREAD, UNCORRECTED, Bands, Honest

SIDE = 32


def power_of(slope: float) -> torch.Tensor:
    """Power (H, W // 2 + 1) that falls with a slope from a bend at 1/16 cycles per pixel."""
    k = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None, :])
    return torch.from_numpy(1 / (1 + (16 * k) ** slope)).float()


def bands_of(power: torch.Tensor, taus: tuple[float, ...]) -> Bands:
    """From the exact variances of a stationary field with this power at a few levels."""
    levels = [torch.full((1, SIDE, SIDE), t) for t in taus]
    unit = torch.zeros(1, SIDE, SIDE)
    unit[0, 0, 0] = 1.0
    variances = []
    for t in taus:
        left = irfft2(rfft2(unit, (SIDE, SIDE)) * (power * t**2 / (power + t**2)), (SIDE, SIDE))[0, 0, 0]
        variances.append(torch.full((1, SIDE, SIDE), float(left)))
    return Bands(levels, variances, torch.full((1, SIDE, SIDE), 1.0))


@pytest.mark.parametrize(("slope", "least"), [(3.0, 1 / 3), (6.0, 1 / 15)])
def test_it_finds_the_power_of_a_field(slope: float, least: float) -> None:
    """A steep one is found too low, because the cut-offs are those of a filter that is not."""
    power = power_of(slope)
    found = bands_of(power, (0.5, 0.2, 0.08, 0.02, 0.005))
    for centre, root in zip(CENTRES, found.roots, strict=True):
        expected = 1 / (1 + (16 * centre) ** slope)
        if 0.005**2 < expected < 0.5**2:
            assert least < float(root[0, 0, 0]) ** 2 / expected < 3


def test_one_level_alone_does_not_know_how_steep_it_is() -> None:
    """What a filter of one slope, told by one level, makes of a steep spectrum."""
    one, several = (bands_of(power_of(6.0), taus) for taus in ((0.5,), (0.5, 0.2, 0.08, 0.02)))
    fine = CENTRES.index(1 / 4)
    expected = 1 / (1 + 4.0**6)
    assert float(one.roots[fine][0, 0, 0]) ** 2 > 8 * expected
    assert float(several.roots[fine][0, 0, 0]) ** 2 < 4 * expected


def test_it_is_a_covariance_and_draws_from_it() -> None:
    generator = torch.Generator().manual_seed(1)
    levels = [torch.full((1, 8, 8), t) for t in (0.5, 0.1)]
    variances = [t**2 * (0.1 + 0.8 * torch.rand(1, 8, 8, generator=generator)) for t in (0.5, 0.1)]
    cov = Bands(levels, variances, torch.full((1, 8, 8), 2.0))
    units = torch.eye(64).view(64, 1, 8, 8)
    dense = torch.stack([(cov @ unit).flatten() for unit in units])
    torch.testing.assert_close(dense, dense.T, atol=1e-5, rtol=0)
    assert float(torch.linalg.eigvalsh(dense.double()).min()) > -1e-5
    draws = torch.cat([cov.draw(lambda b: torch.randn(1, 8, 8, generator=generator)) for _ in range(4000)]).flatten(1)
    scale = float(dense.diagonal().max())
    torch.testing.assert_close(torch.cov(draws.T) / scale, dense / scale, atol=0.12, rtol=0)


def test_corrections_are_products_of_two_tables() -> None:
    table = Honest((0.1, 10.0), (2.0, 0.5), (0.1, 1.0, 10.0), (0.5, 1.0, 0.6), 2.0)
    flux = torch.tensor([-3.0, 0.1, 10**-0.5, 1.0, 10.0, 1e4])
    at = torch.full_like(flux, 1.0)
    torch.testing.assert_close(table.factor(flux, at), torch.tensor([0.5, 0.5, 0.5**0.5, 1.0, 0.6, 0.6]))
    std = torch.tensor([0.0, 0.1, 1.0, 10.0, 1e4])
    torch.testing.assert_close(table.factor(torch.ones(5), std), torch.tensor([2.0, 2.0, 1.0, 0.5, 0.5]))
    assert torch.equal(UNCORRECTED.factor(flux, at), torch.ones(6))


def test_the_tables_for_trained_networks_make_sense() -> None:
    table = TRAINED_SPREAD
    for at, factors in ((table.spreads, table.widths), (table.heights, table.factors)):
        assert len(at) == len(factors) and list(at) == sorted(at)
        assert all(0.1 < f < 5 for f in factors)
    # what is stated larger stays larger after the correction
    std = torch.logspace(-2, 2.5, 200)
    corrected = std * table.factor(torch.full_like(std, 0.1), std)
    assert bool((corrected.diff() > 0).all())
    assert table.quantile95 > 1.96
