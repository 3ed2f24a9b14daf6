"""precondition and apply_kernels: network types and layouts, batches, and the limits that hold for any
weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gencosmo.ops import precondition as contract
from gencosmo.ops.apply_kernels import applied_kernels, apply_kernels, apply_kernels_reference
from gencosmo.ops.precondition import FEATURES, LOCALS, precondition, precondition_reference
from tests.ops.cases import CASES, copies
from tests.ops.law import assert_law

TYPES = [torch.float32, torch.bfloat16, torch.float16]
FORMATS = [torch.contiguous_format, torch.channels_last]
CHANNELS = [
    "data",
    "base",
    "laplacian",
    "log s",
    "log d/s",
    "brightness",
    "log v",
    "disagree",
    "level/s",
    "level/d",
    "unknown",
    "world",
]
every_type = pytest.mark.parametrize("dtype", TYPES)
every_format = pytest.mark.parametrize("layout", FORMATS)


@every_type
@every_format
def test_features_channel_by_channel(dtype: torch.dtype, layout: torch.memory_format) -> None:
    arguments = CASES["precondition"].arguments(3)
    arguments["win"][1] *= 1e3  # a bright source
    arguments["features"] = arguments["features"].to(dtype).contiguous(memory_format=layout)
    precondition(**arguments)
    win, world = arguments["win"], arguments["world"]
    truth, local_truth = precondition_reference(win.double(), world.double(), 100.0)
    plain, local_plain = precondition_reference(win, world, 100.0)
    assert arguments["features"].is_contiguous(memory_format=layout)
    for c, name in enumerate(CHANNELS):
        assert_law(arguments["features"][:, c], truth[:, c], plain[:, c].to(dtype), name)
    for c in range(LOCALS):
        assert_law(arguments["local"][:, c], local_truth[:, c], local_plain[:, c], f"local {c}")


def _beside_a_column(height: float) -> dict[str, Tensor | float]:
    """Known sky of unit noise with a column of `height` and a hole two pixels beside it."""
    sky = torch.randn(1, 40, 40, generator=torch.Generator().manual_seed(5))
    sky[:, :, 20] += height
    smooth = sky.clone()
    smooth[:, 15:25, 23] = 0
    sigma = torch.zeros_like(sky)
    sigma[:, 15:25, 23] = math.inf
    win = torch.stack([sky, sigma, smooth, torch.where(sigma > 0, 1.0, 0.0), smooth], 1)
    return {"win": win, "world": torch.zeros(1), "prior_var": 100.0}


def test_statistics_beside_a_bright_column_are_those_of_the_sky() -> None:
    found = {}
    for height in (0.0, 5e3):
        arguments = _beside_a_column(height)
        local = torch.empty(1, LOCALS, 40, 40)
        features = torch.empty(1, FEATURES, 40, 40)
        precondition(features=features, local=local, **arguments)
        truth = precondition_reference(arguments["win"].double(), torch.zeros(1).double(), 100.0)  # type: ignore[union-attr]
        plain = precondition_reference(arguments["win"], torch.zeros(1), 100.0)  # type: ignore[arg-type]
        for mine, exact, float32 in zip((features, local), truth, plain, strict=True):
            for c in range(mine.shape[1]):
                assert_law(mine[:, c], exact[:, c], float32[:, c], f"channel {c}")
        found[height] = local[0, 1:4, 10:30, 22:27]
    assert (found[5e3][0] - found[0.0][0]).abs().max() < 1.5
    # a hundredth of the spread around their own mean counts as roughness
    assert 0.5 < (found[5e3][1:] / found[0.0][1:]).min() < (found[5e3][1:] / found[0.0][1:]).max() < 8


@pytest.mark.parametrize("height", [0.0, 5e3])
def test_kernels_beside_a_bright_column(height: float) -> None:
    arguments = _beside_a_column(height)
    win: Tensor = arguments["win"]  # type: ignore[assignment]
    _features, local = precondition_reference(win, torch.zeros(1), 100.0)
    raw = 0.1 * torch.randn(1, 28, 40, 40, generator=torch.Generator().manual_seed(6))
    mean, var = torch.empty(1, 1, 40, 40), torch.empty(1, 1, 40, 40)
    apply_kernels(raw, win, local, mean, var)
    truth = apply_kernels_reference(raw.double(), win.double(), local.double())
    plain = apply_kernels_reference(raw, win, local)
    for name, mine, t, p in zip(("mean", "var"), (mean, var), truth, plain, strict=True):
        assert_law(mine, t, p, name)
    # weights that are off by a tenth do not pull a column of thousands of sigmas into the hole beside it
    assert mean[0, 0, 15:25, 23].abs().max() < 15
    wanted, got = raw.double().requires_grad_(), raw.clone().requires_grad_()
    apply_kernels_reference(wanted, win.double(), local.double())[0].sum().backward()
    applied_kernels(got, win, local)[0].sum().backward()  # type: ignore[no-untyped-call]
    scale = wanted.grad.abs().max()  # type: ignore[union-attr]
    assert (got.grad - wanted.grad).abs().max() < 1e-5 * scale  # type: ignore[operator]


@every_type
@every_format
def test_kernels_in_network_types(dtype: torch.dtype, layout: torch.memory_format) -> None:
    arguments = CASES["apply_kernels"].arguments(3)
    arguments["raw"] = arguments["raw"].to(dtype).contiguous(memory_format=layout)
    apply_kernels(**arguments)
    raw, win, local = (arguments[name] for name in ("raw", "win", "local"))
    truth = apply_kernels_reference(raw.double(), win.double(), local.double())
    plain = apply_kernels_reference(raw.float(), win, local)
    for name, t, p in zip(("mean", "var"), truth, plain, strict=True):
        assert_law(arguments[name], t, p, name)


@pytest.mark.parametrize("op", ["precondition", "apply_kernels"])
def test_windows_do_not_depend_on_their_batch(op: str) -> None:
    case = CASES[op]
    arguments = case.arguments()
    together = case.run(arguments)
    for b in reversed(range(len(arguments["win"]))):
        one = {k: v[b : b + 1] if isinstance(v, Tensor) else v for k, v in copies(arguments).items()}
        for name, value in case.run(one).items():
            assert torch.equal(value[0], together[name][b]), name


@pytest.mark.parametrize("op", ["precondition", "apply_kernels"])
def test_one_window_has_the_same_bytes_on_many_threads(op: str) -> None:
    """With fewer windows than threads the rows are shared out, pass by pass, instead of the windows."""
    case, before = CASES[op], torch.get_num_threads()
    one = {k: v[:1] if isinstance(v, Tensor) else v for k, v in case.arguments().items()}
    try:
        torch.set_num_threads(1)
        alone = case.run(one)
        torch.set_num_threads(3)
        for name, value in case.run(one).items():
            assert torch.equal(value, alone[name]), name
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 70), (130, 2), (9, 300)])
def test_small_and_long_windows(shape: tuple[int, int]) -> None:
    g = torch.Generator().manual_seed(0)
    win = torch.rand(2, 5, *shape, generator=g)
    world = torch.zeros(2)
    features, local = torch.empty(2, FEATURES, *shape), torch.empty(2, LOCALS, *shape)
    precondition(win, world, 100.0, features, local)
    truth, plain = (
        precondition_reference(win.double(), world.double(), 100.0),
        precondition_reference(win, world, 100.0),
    )
    for got, t, p in zip((features, local), truth, plain, strict=True):
        assert_law(got, t, p)
    raw, mean, var = (
        torch.randn(2, 28, *shape, generator=g),
        torch.empty(2, 1, *shape),
        torch.empty(2, 1, *shape),
    )
    apply_kernels(raw, win, local, mean, var)
    truth = apply_kernels_reference(raw.double(), win.double(), local.double())
    for got, t, p in zip((mean, var), truth, apply_kernels_reference(raw, win, local), strict=True):
        assert_law(got, t, p)


def test_exact_pixels_are_returned_exactly_and_unknown_ones_do_not_read_z() -> None:
    arguments = CASES["apply_kernels"].arguments(1)
    apply_kernels(**arguments)
    z, sigma = arguments["win"][:, :1], arguments["win"][:, 1:2]
    exact = sigma == 0
    assert int(exact.sum()) > 100
    assert torch.equal(arguments["mean"][exact], z[exact])
    assert bool((arguments["var"][exact] == 0).all())
    other = copies(arguments)
    other["win"][:, :1][torch.isinf(sigma)] = 123.0
    apply_kernels(**other)
    assert torch.equal(other["mean"], arguments["mean"])


def test_the_network_is_not_asked_about_exact_pixels() -> None:
    """Nothing that it says there matters, forwards or backwards; what it says elsewhere does, beside them too."""
    arguments = CASES["apply_kernels"].arguments(1)
    exact = (arguments["win"][:, 1:2] == 0).expand_as(arguments["raw"])
    want = CASES["apply_kernels"].run(arguments)
    for layout in FORMATS:
        made = copies(arguments)
        made["raw"][exact] = math.nan
        made["raw"] = made["raw"].contiguous(memory_format=layout)
        for name, value in CASES["apply_kernels"].run(made).items():
            assert torch.equal(value, want[name]), name
        leaf = made["raw"].requires_grad_()
        mean, var = applied_kernels(leaf, made["win"], made["local"])
        gradient = torch.autograd.grad((mean + var).sum(), leaf)[0]
        assert bool((gradient[exact] == 0).all()) and bool((gradient[~exact] != 0).any())


def test_variance_never_exceeds_the_level() -> None:
    arguments = CASES["apply_kernels"].arguments(1)
    arguments["raw"][:, 27] = 50
    apply_kernels(**arguments)
    sigma = arguments["win"][:, 1:2]
    known = torch.isfinite(sigma)
    assert bool((arguments["var"][known] <= sigma[known] ** 2 * (1 + 1e-6)).all())
    assert bool(torch.isfinite(arguments["var"]).all())


def test_nan_stays_within_reach() -> None:
    arguments = CASES["apply_kernels"].arguments(1)
    clean = CASES["apply_kernels"].run(arguments)
    dirty = copies(arguments)
    dirty["raw"][2, 5, 10, 11] = math.nan
    got = CASES["apply_kernels"].run(dirty)
    assert bool(torch.isnan(got["mean"][2, 0, 10, 11]))
    got["mean"][2, 0, 10, 11] = clean["mean"][2, 0, 10, 11]
    assert torch.equal(got["mean"], clean["mean"])
    assert torch.equal(got["var"], clean["var"])


def test_nan_in_a_window_reaches_what_the_reference_says() -> None:
    arguments = CASES["precondition"].arguments(1)
    arguments["win"][0, 2, 12, 12] = math.nan
    arguments["win"][1, 3, 5, 5] = math.inf
    got, want = CASES["precondition"].run(arguments), CASES["precondition"].expected(arguments, torch.float32)
    for name in ("features", "local"):
        assert torch.equal(torch.isnan(got[name]), torch.isnan(want[name])), name


@pytest.mark.parametrize("op", ["precondition", "apply_kernels"])
def test_types_no_network_has(op: str) -> None:
    arguments = CASES[op].arguments()
    name = "features" if op == "precondition" else "raw"
    arguments[name] = arguments[name].to(torch.float64)
    with pytest.raises(TypeError, match=f"argument '{name}' expected dtype float32, bfloat16 or float16"):
        CASES[op].call(**arguments)


def test_channels_are_what_the_contract_lists() -> None:
    assert len(CHANNELS) == contract.FEATURES


@every_type
@every_format
def test_gradients_in_network_types(dtype: torch.dtype, layout: torch.memory_format) -> None:
    arguments = CASES["apply_kernels"].arguments(3)
    win, local = arguments["win"], arguments["local"]
    g = torch.Generator().manual_seed(0)
    weights = torch.randn(2, *win[:, :1].shape, generator=g)
    raw = arguments["raw"].to(dtype).contiguous(memory_format=layout)

    def gradient(function: Callable[..., tuple[Tensor, Tensor]], real: torch.dtype) -> Tensor:
        leaf = (raw if real == dtype else raw.to(real)).detach().requires_grad_()
        outputs = function(leaf, win.to(real), local.to(real)) if real != dtype else function(leaf, win, local)
        total = sum((weight.to(real) * out).sum() for weight, out in zip(weights, outputs, strict=True))
        return torch.autograd.grad(total, leaf)[0]

    got = gradient(applied_kernels, dtype)
    assert got.dtype == dtype
    assert got.is_contiguous(memory_format=layout)
    truth, plain = (
        gradient(apply_kernels_reference, torch.float64),
        gradient(apply_kernels_reference, torch.float32),
    )
    for c in range(truth.shape[1]):
        assert_law(got[:, c], truth[:, c], plain[:, c].to(dtype), f"channel {c}")


def test_gradients_of_gradients_are_refused() -> None:
    arguments = CASES["apply_kernels"].arguments()
    raw = arguments["raw"].requires_grad_()
    mean, _ = applied_kernels(raw, arguments["win"], arguments["local"])
    (first,) = torch.autograd.grad(mean.sum(), raw, create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|does not require grad"):
        torch.autograd.grad(first.sum(), raw)
