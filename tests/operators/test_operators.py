"""Laws of the operators: adjoints, conservation of flux, and agreement with direct sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage, signal

from gencosmo.errors import InputError, UsageError
from gencosmo.operators import Binning, Composed, LinearOperator, Psf, VaryingPsf
from gencosmo.operators.profiles import airy_psf, fine_psf, gaussian_psf, moffat_psf, psf_centre, psf_fwhm

SHAPE = (24, 30)


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def kernel(height: int, width: int) -> torch.Tensor:
    """An asymmetric PSF, some of it negative."""
    values = torch.rand(height, width, generator=torch.Generator().manual_seed(height * 100 + width)) - 0.1
    return values / values.sum()


def varying(shape: tuple[int, int]) -> VaryingPsf:
    psfs = torch.stack(
        [kernel(5, 7), kernel(6, 5).new_zeros(5, 7) + 1 / 35, kernel(5, 7).flip(0), kernel(5, 7).T.reshape(5, 7)]
    )
    return VaryingPsf(psfs.view(2, 2, 5, 7), np.array([4.0, 17.5]), np.array([-2.0, 20.0]), shape)


OPERATORS = {
    "odd": lambda: Psf(kernel(5, 7), SHAPE),
    "even": lambda: Psf(kernel(4, 6), SHAPE),
    "one axis": lambda: Psf(kernel(1, 8), SHAPE),
    "larger than the plane": lambda: Psf(kernel(41, 64), SHAPE),
    "blocks": lambda: Psf(kernel(4, 5), SHAPE, block=16),
    "bin": lambda: Binning((12, 15), (2, 2)),
    "bin mean": lambda: Binning((8, 10), (3, 3), mean=True),
    "bin 3x2": lambda: Binning((8, 15), (3, 2), mean=True),
    "composed": lambda: Composed(Psf(kernel(7, 6), SHAPE), Binning((12, 15), (2, 2), mean=True)),
    "varying": lambda: varying(SHAPE),
    "varying, binned": lambda: Composed(varying(SHAPE), Binning((8, 15), (3, 2))),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_adjoint_law(name: str) -> None:
    operator = OPERATORS[name]()
    assert isinstance(operator, LinearOperator)
    x, y = noise(1, 3, *operator.shape_in), noise(2, 3, *operator.shape_out)
    left = (operator.forward(x).double() * y.double()).sum((-2, -1))
    right = (x.double() * operator.adjoint(y).double()).sum((-2, -1))
    size = operator.forward(x).double().norm(dim=(-2, -1)) * y.double().norm(dim=(-2, -1))
    assert bool(((left - right).abs() <= 1e-6 * size).all())


@pytest.mark.parametrize("name", OPERATORS)
def test_a_plane_does_not_know_the_others(name: str) -> None:
    """Not in its last bit, whatever the number of planes."""
    operator = OPERATORS[name]()
    x = noise(3, 2, 2, *operator.shape_in)
    together = operator.forward(x)
    assert torch.equal(operator.forward(x[1, 0]), together[1, 0])
    y = noise(4, 3, *operator.shape_out)
    assert torch.equal(operator.adjoint(y[2]), operator.adjoint(y)[2])


@pytest.mark.parametrize("size", [(5, 7), (4, 6), (1, 8), (9, 2), (41, 64)])
@pytest.mark.parametrize("block", [16, 4096])
def test_psf_is_the_direct_sum(size: tuple[int, int], block: int) -> None:
    psf, x = kernel(*size), noise(5, *SHAPE)
    full = signal.convolve(x.double().numpy(), psf.double().numpy() / float(psf.double().sum()), method="direct")
    row, col = size[0] // 2, size[1] // 2
    expected = full[row : row + SHAPE[0], col : col + SHAPE[1]]
    got = Psf(psf, SHAPE, block=block).forward(x).numpy()
    np.testing.assert_allclose(got, expected, atol=2e-6 * np.abs(full).max())


@pytest.mark.parametrize("size", [3, 4])
def test_a_point_stays_where_it_is(size: int) -> None:
    """The centre of a PSF is the pixel size // 2."""
    psf = torch.zeros(size, size)
    psf[size // 2, size // 2] = 1
    x = noise(6, *SHAPE)
    operator = Psf(psf, SHAPE)
    torch.testing.assert_close(operator.forward(x), x, atol=1e-6, rtol=0)
    torch.testing.assert_close(operator.adjoint(x), x, atol=1e-6, rtol=0)


def test_blocks_change_only_the_last_bits() -> None:
    x = noise(7, 70, 90)
    whole, cut = Psf(kernel(6, 9), (70, 90)), Psf(kernel(6, 9), (70, 90), block=32)
    assert cut.tile[0] < 70 and cut.tile[1] < 90
    torch.testing.assert_close(whole.forward(x), cut.forward(x), atol=1e-6, rtol=0)
    torch.testing.assert_close(whole.adjoint(x), cut.adjoint(x), atol=1e-6, rtol=0)


def test_flux_is_kept_inside() -> None:
    scene = torch.zeros(60, 60)
    scene[30, 28] = 1e4
    image = Composed(Psf(torch.from_numpy(gaussian_psf(3.0)), (60, 60)), Binning((30, 30), (2, 2))).forward(scene)
    assert abs(float(image.double().sum()) - 1e4) < 0.05


def test_equal_psfs_do_not_vary() -> None:
    psf, x = kernel(5, 4), noise(8, *SHAPE)
    grid = VaryingPsf(psf.expand(2, 3, 5, 4), np.array([3.0, 11.0]), np.array([2.0, 9.0, 25.0]), SHAPE)
    torch.testing.assert_close(grid.forward(x), Psf(psf, SHAPE).forward(x), atol=3e-6, rtol=0)


def test_a_varying_psf_is_the_one_of_the_place() -> None:
    """A point at a node gets the node's PSF, one half-way the mean of both."""
    psfs = torch.stack([kernel(5, 5), kernel(5, 5).flip(1)]).view(1, 2, 5, 5)
    grid = VaryingPsf(psfs, np.array([0.0]), np.array([6.0, 20.0]), SHAPE)
    for col, weights in ((6, (1.0, 0.0)), (13, (0.5, 0.5)), (20, (0.0, 1.0)), (25, (0.0, 1.0))):
        point = torch.zeros(SHAPE)
        point[12, col] = 1
        expected = weights[0] * psfs[0, 0] + weights[1] * psfs[0, 1]
        torch.testing.assert_close(grid.forward(point)[10:15, col - 2 : col + 3], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("scale", [(2, 2), (3, 3), (4, 4), (3, 2), (1, 2)])
@pytest.mark.parametrize("size", [25, 24])
def test_fine_psf_binned_is_the_psf_of_the_image(scale: tuple[int, int], size: int) -> None:
    """At the middle of a pixel, and at every fine position within it."""
    offset = (np.arange(size) - size // 2)[:, None], (np.arange(size) - size // 2)[None, :]

    def seen(dy: float, dx: float) -> np.ndarray:
        values = np.exp(-((offset[0] - dy) ** 2 + 1.2 * (offset[1] - dx) ** 2) / (2 * 1.9**2))
        return values / values.sum()

    fine = fine_psf(seen(0, 0), scale)
    assert all(n % 2 == 1 for n, factor in zip(fine.shape, scale, strict=True) if factor > 1)
    shape = (size * scale[0], size * scale[1])
    operator = Composed(Psf(torch.from_numpy(fine), shape), Binning((size, size), scale))
    for row in range(scale[0]):
        for col in range(scale[1]):
            scene = torch.zeros(shape)
            scene[size // 2 * scale[0] + row, size // 2 * scale[1] + col] = 1
            place = (row - (scale[0] - 1) / 2) / scale[0], (col - (scale[1] - 1) / 2) / scale[1]
            np.testing.assert_allclose(operator.forward(scene).numpy(), seen(*place), atol=2e-6)


def test_profiles_have_their_width_and_centre() -> None:
    for psf, width in (
        (gaussian_psf(4.0), 4.0),
        (moffat_psf(5.0, 3.0), 5.0),
        (airy_psf(0.52, 1.4, 0.03), 0.5145 * 0.52 / 1.4 / 0.03),
    ):
        assert abs(psf.sum() - 1) < 1e-12
        assert psf.shape[0] % 2 == 1
        assert max(map(abs, psf_centre(psf))) < 1e-9
        assert abs(psf_fwhm(psf) / width - 1) < 0.04
    assert psf_centre(ndimage.shift(gaussian_psf(3.0), (0.4, -0.2))) == pytest.approx((0.4, -0.2), abs=0.06)


def test_faults_are_told() -> None:
    with pytest.raises(InputError, match="sums to 2, expected 1"):
        Psf(torch.full((2, 2), 0.5), SHAPE)
    with pytest.raises(InputError, match="non-finite"):
        Psf(torch.tensor([[1.0, np.nan]]), SHAPE)
    with pytest.raises(InputError, match=r"expected \(h, w\)"):
        Psf(torch.ones(3), SHAPE)
    with pytest.raises(UsageError, match=r"takes \(24, 30\)"):
        Composed(Psf(kernel(3, 3), (8, 8)), Binning((12, 15), (2, 2)))
    with pytest.raises(UsageError, match=r"expected \(..., 24, 30\)"):
        Psf(kernel(3, 3), SHAPE).forward(torch.zeros(30, 24))
    with pytest.raises(InputError, match="do not increase"):
        VaryingPsf(kernel(3, 3).expand(2, 1, 3, 3), np.array([5.0, 5.0]), np.array([1.0]), SHAPE)
    with pytest.raises(UsageError, match="from 1 to 1024"):
        Binning((4, 4), (0, 2))
    with pytest.raises(UsageError, match="fwhm is -1"):
        gaussian_psf(-1.0)
