"""Scores, probes, binning and spectra beyond the laws of all ops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from gencosmo import _core
from gencosmo.errors import UsageError
from gencosmo.ops.bin import bin, bin_adjoint
from gencosmo.ops.fft_point import MODES, fft_point
from gencosmo.ops.hutchinson import CHUNKS, hutchinson_, probe_
from gencosmo.ops.predictive_score import FAMILIES, predictive_score, score_sums_shape
from tests.ops.cases import CASES, SHAPES, Arguments, Case, copies, image_shape, make_point, make_score, planes, seeds
from tests.ops.law import assert_law


def obeys_the_law(case: Case, arguments: Arguments) -> None:
    got = case.run(arguments)
    truth, plain = case.expected(arguments, torch.float64), case.expected(arguments, torch.float32)
    for name in case.writes:
        assert_law(got[name], truth[name], plain[name], name)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", [(33, 20), (1, 1), (64, 64), (5, 130)])
def test_every_family(family: str, shape: tuple[int, int]) -> None:
    obeys_the_law(CASES["predictive_score"], make_score(torch.Generator().manual_seed(5), (shape,), family))


def scored(family: str, parameter: float, **numbers: float) -> tuple[float, float, Tensor]:
    """z, log density and sums of one pixel."""
    inputs = [torch.full((1, 1, 1), numbers[name]) for name in ("value", "mean", "var", "ivar")]
    z, log_prob = torch.zeros(1, 1, 1), torch.zeros(1, 1, 1)
    sums = torch.zeros(1, 1, 1, 3, dtype=torch.float64)
    predictive_score(*inputs, family, parameter, 1, z, log_prob, sums)
    return float(z), float(log_prob), sums[0, 0, 0]


def test_densities_of_scipy() -> None:
    numbers = {"value": 7.0, "mean": 3.0, "var": 1.0, "ivar": 0.5}
    assert scored("gaussian", 0, **numbers)[1] == pytest.approx(stats.norm(3, math.sqrt(3)).logpdf(7), rel=1e-6)
    assert scored("student_t", 5, **numbers)[1] == pytest.approx(stats.t(5, 3, math.sqrt(3)).logpdf(7), rel=1e-6)
    photons = stats.norm(3, math.sqrt(3 + 3 / 0.25)).logpdf(7)
    assert scored("poisson_gaussian", 0.25, **numbers)[1] == pytest.approx(photons, rel=1e-6)
    assert scored("gaussian", 0, **numbers)[0] == pytest.approx(4 / math.sqrt(3), rel=1e-6)


def test_what_is_not_observed_is_not_scored_and_nan_is_seen() -> None:
    for ivar in (0.0, -1.0, math.nan):
        z, log_prob, sums = scored("gaussian", 0, value=math.nan, mean=1.0, var=1.0, ivar=ivar)
        assert (z, log_prob, sums.tolist()) == (0.0, 0.0, [0.0, 0.0, 0.0])
    z, log_prob, sums = scored("student_t", 3, value=math.nan, mean=1.0, var=1.0, ivar=1.0)
    assert math.isnan(z) and math.isnan(log_prob) and math.isnan(sums[0]) and sums[2] == 1
    exact = scored("gaussian", 0, value=2.0, mean=1.0, var=4.0, ivar=math.inf)
    assert exact[0] == 0.5


def test_sums_are_accurate_where_float32_is_not() -> None:
    n = 1024
    value = torch.randn(1, n, n, generator=torch.Generator().manual_seed(1))
    zeros, ones, z, log_prob = torch.zeros_like(value), torch.ones_like(value), value.clone(), value.clone()
    sums = torch.zeros(score_sums_shape(1, n, n, n), dtype=torch.float64)
    predictive_score(value, zeros, zeros, ones, "gaussian", 0.0, n, z, log_prob, sums)
    exact = math.fsum(log_prob.double().flatten().tolist())
    assert abs(float(sums[0, 0, 0, 0]) - exact) <= 1e-12 * abs(exact)


def test_images_do_not_depend_on_their_batch() -> None:
    whole = CASES["predictive_score"].arguments()
    predictive_score(**whole)
    for b in range(2):
        part = {k: v[b : b + 1].clone() if isinstance(v, Tensor) else v for k, v in whole.items()}
        predictive_score(**part)
        for name in ("z", "log_prob", "sums"):
            assert torch.equal(part[name].nan_to_num(), whole[name][b : b + 1].nan_to_num())


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"family": "cauchy"}, "family"), ({"parameter": 0.0}, "parameter"), ({"parameter": math.nan}, "parameter"),
        ({"tile": 0}, "tile"), ({"tile": 1 << 40}, "tile"),
    ],
)  # fmt: skip
def test_scores_that_mean_nothing(changes: Arguments, word: str) -> None:
    with pytest.raises(UsageError, match=f"predictive_score: argument '{word}' expected"):
        predictive_score(**{**CASES["predictive_score"].arguments(), **changes})


def test_signs_are_fair_and_belong_to_the_pixel() -> None:
    layout = torch.tensor([[0, 512, 512, -20, -7, 3]])
    whole = torch.zeros(512 * 512)
    probe_(whole, layout, torch.tensor([77]), torch.tensor(1))
    assert torch.equal(whole.abs(), torch.ones_like(whole))
    assert abs(float(whole.mean())) < 4 / 512
    part = torch.zeros(9 * 70)
    probe_(part, torch.tensor([[0, 9, 70, 5, 101, 3]]), torch.tensor([77]), torch.tensor(1))
    assert torch.equal(part.view(9, 70), whole.view(512, 512)[25:34, 108:178])
    other = torch.zeros_like(whole)
    probe_(other, layout, torch.tensor([77]), torch.tensor(2))
    assert abs(float((whole * other).mean())) < 4 / 512


def test_the_trace_of_a_matrix() -> None:
    """Of a diagonal one exactly, of any other on average."""
    layout, n = planes(SHAPES)
    diagonal = torch.randn(n, generator=torch.Generator().manual_seed(2))
    v, trace = torch.zeros(n), torch.zeros(len(layout), dtype=torch.float64)
    workspace, step = torch.zeros(len(layout), CHUNKS, dtype=torch.float64), torch.tensor(6)
    probe_(v, layout, seeds(layout), step)
    hutchinson_(trace, diagonal * v, layout, seeds(layout), step, workspace)
    for p, (offset, height, width, *_) in enumerate(layout.tolist()):
        exact = float(diagonal[offset : offset + height * width].double().sum())
        assert float(trace[p]) == pytest.approx(exact, rel=1e-12, abs=1e-12)

    matrix = torch.randn(256, 256, generator=torch.Generator().manual_seed(3))
    one, draws = torch.tensor([[0, 16, 16, 0, 0, 0]]), []
    v, trace, workspace = torch.zeros(256), trace[:1].clone(), workspace[:1].clone()
    for k in range(400):
        probe_(v, one, torch.tensor([9]), torch.tensor(k))
        hutchinson_(trace, matrix @ v, one, torch.tensor([9]), torch.tensor(k), workspace)
        draws.append(float(trace))
    spread = float(np.std(draws)) / math.sqrt(len(draws))
    assert abs(np.mean(draws) - float(matrix.trace())) < 4 * spread


def test_trace_of_a_plane_does_not_depend_on_its_batch() -> None:
    together = CASES["hutchinson_"].arguments()
    alone = copies(together)
    hutchinson_(**together)
    for p in reversed(range(len(SHAPES))):
        rows = ("trace", "layout", "seed", "workspace")
        hutchinson_(**{k: v[p : p + 1] if k in rows else v for k, v in alone.items()})
    assert torch.equal(together["trace"], alone["trace"])


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 7])
def test_the_adjoint_is_exact(factor: int) -> None:
    """``<A x, y> = <x, A^T y>``, in whole numbers to the last bit."""
    g = torch.Generator().manual_seed(factor)
    x = torch.randint(-50, 50, (2, 3, 5 * factor, 9 * factor), generator=g).float()
    y = torch.randint(-50, 50, (2, 3, 5, 9), generator=g).float()
    down, up = torch.zeros_like(y), torch.zeros_like(x)
    bin(x, factor, down)
    bin_adjoint(y, factor, up)
    assert float((down.double() * y.double()).sum()) == float((x.double() * up.double()).sum())
    assert float(down.sum(dtype=torch.float64)) == float(x.sum(dtype=torch.float64))
    again = torch.zeros_like(y)
    bin(up, factor, again)
    assert torch.equal(again, y * factor * factor)


@pytest.mark.parametrize("op", [bin, bin_adjoint])
@pytest.mark.parametrize("factor", [0, -2, 5000])
def test_factors_that_mean_nothing(op, factor: int) -> None:
    with pytest.raises(UsageError, match="argument 'factor' expected 1 to 1024"):
        op(torch.zeros(1, 1, 4, 4), factor, torch.zeros(1, 1, 4, 4))
    with pytest.raises(ValueError, match="factor from 1 to 1024"):
        getattr(_core, op.__name__)(torch.zeros(1, 1, 4, 4), factor, torch.zeros(1, 1, 4, 4), 1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shared", [False, True])
def test_every_mode_of_the_spectrum(mode: str, shared: bool) -> None:
    arguments = make_point(torch.Generator().manual_seed(8), SHAPES, mode)
    if shared:
        arguments.update(transfer=arguments["transfer"][:1], ridge=arguments["ridge"][:1])
    obeys_the_law(CASES["fft_point"], arguments)
    in_place = copies(arguments)
    fft_point(*list(in_place.values())[:4], in_place["spectrum"])
    assert torch.equal(in_place["spectrum"], CASES["fft_point"].run(arguments)["out"])


def test_the_spectrum_is_the_convolution() -> None:
    """Against a circular convolution written out, its transpose, and what solves both."""
    g = torch.Generator().manual_seed(4)
    image, psf = torch.randn(1, 12, 10, generator=g), torch.rand(12, 10, generator=g)
    h = torch.view_as_real(torch.fft.rfft2(psf))[None].contiguous()

    def applied(x: Tensor, mode: str, ridge: float = 0.0) -> Tensor:
        spectrum = torch.view_as_real(torch.fft.rfft2(x)).contiguous()
        fft_point(spectrum, h, torch.tensor([ridge]), mode, spectrum)
        return torch.fft.irfft2(torch.view_as_complex(spectrum), s=x.shape[-2:])

    written = sum(
        psf[i, j] * torch.roll(image[0], (i, j), (0, 1)) for i in range(psf.shape[0]) for j in range(psf.shape[1])
    )
    assert torch.allclose(applied(image, "forward")[0], written, atol=1e-4)
    other = torch.randn(1, 12, 10, generator=g)
    left, right = (applied(image, "forward") * other).sum(), (image * applied(other, "adjoint")).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-4)
    assert torch.allclose(applied(applied(image, "forward"), "adjoint"), applied(image, "normal"), atol=1e-3)
    back = applied(applied(image, "normal") + 0.5 * image, "inverse", 0.5)
    assert torch.allclose(back, image, atol=1e-4)
    assert torch.allclose(applied(image, "solve", 0.5), applied(applied(image, "adjoint"), "inverse", 0.5), atol=1e-4)


def test_modes_that_do_not_exist() -> None:
    arguments = CASES["fft_point"].arguments()
    with pytest.raises(UsageError, match="argument 'mode' expected one of forward"):
        fft_point(**{**arguments, "mode": "undo"})
    assert image_shape(()) == (0, 4, 4)


def test_a_spectrum_at_an_odd_address_is_refused() -> None:
    arguments = CASES["fft_point"].arguments()
    shape = arguments["spectrum"].shape
    arguments["spectrum"] = torch.zeros(arguments["spectrum"].numel() + 1)[1:].view(shape)
    with pytest.raises(ValueError, match="fft_point: argument 'spectrum' must be aligned to 8 bytes"):
        fft_point(**arguments)
