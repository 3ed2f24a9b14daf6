"""The two fills: what they must return whatever the data, and independence of neighbouring planes and
holes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from gencosmo import _core
from gencosmo.ops.biharmonic_fill import (
    _far_labels,
    _near_labels,
    biharmonic_fill_,
    biharmonic_workspace,
    hole_components,
)
from gencosmo.ops.pyramid_fill import pyramid_fill_, pyramid_workspace
from tests.ops.cases import CASES, copies, planes

PRIOR = (0.5, 100.0)


def one_plane(z: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    layout, n = planes((tuple(z.shape),))
    fields = torch.zeros(5, n)
    fields[0, : z.numel()], fields[1, : z.numel()] = z.reshape(-1), sigma.reshape(-1)
    return layout, fields


def pyramid(z: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    layout, fields = one_plane(z, sigma)
    pyramid_fill_(fields, layout, torch.empty(pyramid_workspace(layout)), *PRIOR)
    return fields[2, : z.numel()].view(z.shape), fields[3, : z.numel()].view(z.shape)


def fill(base: Tensor, hole: Tensor, *, base_var: float = 1e6, iterations: int = 500) -> Tensor:
    """`smooth` of a plane whose holes start from `base`."""
    layout, fields = one_plane(torch.zeros_like(base), torch.where(hole, math.inf, 0.1))
    fields[2, : base.numel()], fields[3] = base.reshape(-1), base_var
    components = hole_components(fields[1], layout)
    scratch = torch.full((biharmonic_workspace(fields.shape[1], components[0].numel()),), math.nan)
    biharmonic_fill_(fields, layout, *components, scratch, iterations, 6.0)
    return fields[4, : base.numel()].view(base.shape)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (16, 16), (33, 50)])
def test_exact_pixels_come_back_exactly(shape: tuple[int, int]) -> None:
    z = 1e4 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    base, var = pyramid(z, torch.zeros(shape))
    assert torch.equal(base, z)
    assert bool((var == 0).all())


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (16, 16), (33, 50)])
def test_an_unknown_plane_is_the_prior(shape: tuple[int, int]) -> None:
    base, var = pyramid(torch.zeros(shape), torch.full(shape, math.inf))
    assert float((base - PRIOR[0]).abs().max()) < 1e-6
    assert float(var.min()) >= PRIOR[1]


def test_one_noisy_pixel_is_conjugate_to_the_prior() -> None:
    base, var = pyramid(torch.tensor([[3.0]]), torch.tensor([[2.0]]))
    expected = 1 / (1 / 4 + 1 / PRIOR[1])
    assert float(var) == pytest.approx(expected, rel=1e-6)
    assert float(base) == pytest.approx(expected * (3 / 4 + PRIOR[0] / PRIOR[1]), rel=1e-6)


def test_a_hole_is_between_its_surroundings_and_less_certain() -> None:
    z = torch.linspace(0, 10, 32).expand(32, 32).clone()
    sigma = torch.full((32, 32), 0.1)
    sigma[10:16, 10:16] = math.inf
    base, var = pyramid(torch.where(torch.isinf(sigma), 0, z), sigma)
    hole = torch.isinf(sigma)
    assert float(base[hole].min()) > float(z[:, 7].min())
    assert float(base[hole].max()) < float(z[:, 19].max())
    assert float(var[hole].min()) > float(var[~hole].max())


@pytest.mark.parametrize("op", ["pyramid_fill_", "biharmonic_fill_"])
def test_planes_do_not_see_each_other(op: str) -> None:
    case = CASES[op]
    arguments = case.arguments()
    together = case.run(arguments)["fields"]
    layout = arguments["layout"]
    for p, (offset, height, width, *_) in enumerate(layout.tolist()):
        mine = copies(arguments)
        end = offset + -(-height * width // 16) * 16
        mine["fields"] = mine["fields"][:, offset:end].contiguous()
        mine["layout"] = layout[p : p + 1].clone()
        mine["layout"][0, 0] = 0
        if op == "biharmonic_fill_":
            names = ("pixels", "starts", "planes")
            mine.update(zip(names, hole_components(mine["fields"][1], mine["layout"]), strict=True))
        case.call(**mine)
        area = slice(0, height * width)
        assert torch.equal(mine["fields"][:, area], together[:, offset : offset + height * width]), p


def dense_solution(base: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Minimum of ||L u||^2 over the hole pixels by linear algebra in float64."""
    height, width = base.shape
    n = height * width
    graph = np.zeros((n, n))
    for y in range(height):
        for x in range(width):
            for dy, dx in ((0, 1), (1, 0)):
                if y + dy < height and x + dx < width:
                    a, b = y * width + x, (y + dy) * width + x + dx
                    graph[a, a] += 1
                    graph[b, b] += 1
                    graph[a, b] -= 1
                    graph[b, a] -= 1
    normal = graph @ graph
    inside = hole.ravel()
    right = -normal[np.ix_(inside, ~inside)] @ base.ravel()[~inside]
    solved = base.ravel().copy()
    solved[inside] = np.linalg.solve(normal[np.ix_(inside, inside)], right)
    return solved.reshape(base.shape)


@pytest.mark.parametrize("box", [(4, 8, 5, 9), (0, 3, 0, 4), (9, 12, 2, 3), (0, 12, 5, 6)])
def test_solution_of_the_normal_equations(box: tuple[int, int, int, int]) -> None:
    base = torch.randn(12, 13, generator=torch.Generator().manual_seed(4))
    hole = torch.zeros(12, 13, dtype=torch.bool)
    hole[box[0] : box[1], box[2] : box[3]] = True
    truth = dense_solution(base.double().numpy(), hole.numpy())
    got = fill(base, hole)
    assert float((got.double() - torch.from_numpy(truth)).abs().max()) < 2e-4
    assert torch.equal(got[~hole], base[~hole])


def test_a_plane_surface_is_bridged_exactly() -> None:
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(24.0), indexing="ij")
    surface = 3 + 0.5 * x - 0.25 * y
    hole = torch.zeros(20, 24, dtype=torch.bool)
    hole[6:11, 8:13] = True
    got = fill(torch.where(hole, 0.0, surface), hole)
    assert float((got - surface).abs().max()) < 1e-3


def test_result_stays_near_the_pyramid() -> None:
    base = torch.randn(16, 16, generator=torch.Generator().manual_seed(5))
    hole = torch.zeros(16, 16, dtype=torch.bool)
    hole[4:10, 4:10] = True
    got = fill(base, hole, base_var=1e-4)
    assert 0.05 < float((got - base).abs().max()) <= 6 * 0.01 * (1 + 1e-5)


def test_too_large_holes_keep_the_base() -> None:
    hole = torch.zeros(20, 20, dtype=torch.bool)
    hole[2:12, 2:12] = True
    hole[17, 17] = True
    layout, fields = one_plane(torch.zeros(20, 20), torch.where(hole, math.inf, 0.1))
    pixels, starts, _ = hole_components(fields[1], layout, max_pixels=50)
    assert pixels.tolist() == [17 * 20 + 17]
    assert starts.tolist() == [0, 1]


@pytest.mark.parametrize(("gap", "count"), [(3, 1), (4, 2)])
def test_holes_are_one_component_while_their_stencils_touch(gap: int, count: int) -> None:
    hole = torch.zeros(5, 12, dtype=torch.bool)
    hole[2, 2] = hole[2, 2 + gap] = True
    layout, fields = one_plane(torch.zeros(5, 12), torch.where(hole, math.inf, 0.1))
    assert hole_components(fields[1], layout)[1].numel() - 1 == count


def test_indices_are_checked() -> None:
    for name, entry, message in [
        ("pixels", 10**6, "lies outside its plane"), ("pixels", -1, "lies outside its plane"),
        ("starts", 10**6, "not an ascending list"), ("planes", 9, "names plane 9 of 5"),
    ]:  # fmt: skip
        arguments = copies(CASES["biharmonic_fill_"].arguments())
        arguments[name][2] = entry
        with pytest.raises(ValueError, match=f"argument '{name}' .*{message}"):
            biharmonic_fill_(**arguments)


@pytest.mark.parametrize("op", ["pyramid_fill_", "biharmonic_fill_"])
def test_workspace_too_small(op: str) -> None:
    arguments = CASES[op].arguments()
    arguments["workspace"] = arguments["workspace"][:-1].clone()
    with pytest.raises(ValueError, match="argument 'workspace' expected at least"):
        CASES[op].call(**arguments)


def test_sizes_beyond_32_bits() -> None:
    layout = torch.tensor([[0, 70_000, 70_000, 0, 0, 0], [4_900_000_000, 1, 1, 0, 0, 0]])
    nodes, side = 0, 70_000
    while side > 1:
        side = -(-side // 2)
        nodes += side * side
    assert _core.pyramid_workspace(layout) == 2 * 2 + 3 * nodes > 1 << 32


@pytest.mark.parametrize("share", [0.001, 0.02, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (70, 90)])
def test_both_searches_find_the_same_components(share: float, shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(int(1000 * share)).random(shape) < share
    mask[0, 0] = True
    index = np.flatnonzero(mask)
    near, far = _near_labels(mask, index), _far_labels(mask, index)
    pairs = set(zip(near.tolist(), far.tolist(), strict=True))
    assert len(pairs) == len(set(near.tolist())) == len(set(far.tolist()))
    assert sorted(set(far.tolist())) == list(range(1, far.max() + 1))
