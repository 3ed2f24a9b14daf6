"""What `benchmarks.gpu_first_run` times: every op on a frame of `side` x `side`, and a whole step of the sampler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gencosmo.ops.apply_kernels import RAW_CHANNELS, apply_kernels
from gencosmo.ops.bin import bin, bin_adjoint
from gencosmo.ops.blend import blend_, blend_finish_
from gencosmo.ops.calibrate import calibrate_
from gencosmo.ops.fft_point import fft_point
from gencosmo.ops.gather import gather
from gencosmo.ops.hutchinson import CHUNKS, hutchinson_, probe_
from gencosmo.ops.moments import moments_
from gencosmo.ops.normal import normal_
from gencosmo.ops.precondition import FEATURES, LOCALS, precondition
from gencosmo.ops.predictive_score import predictive_score, score_sums_shape
from gencosmo.ops.pyramid_fill import pyramid_fill_, pyramid_workspace
from gencosmo.ops.step import step_

WINDOW, TILE = 128, 64


@dataclass
class Timed:
    """A call, the pixels it works on and the bytes that it must move for each."""

    name: str
    call: Callable[[], Any]
    pixels: int
    bytes_per_pixel: float


@dataclass
class NetworkStep:
    """A sampler step: fill, windows, features, network, kernels, blend, update; and its network alone."""

    call: Callable[[], None]
    network: Callable[[], Any]
    index: Tensor
    state: list[Tensor] = field(default_factory=list)


def timed_ops(device: str, side: int) -> list[Callable[[], Timed]]:
    """Makers, one per op; each allocates when it is called."""
    n = side * side
    g = torch.Generator(device).manual_seed(0)

    def numbers(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=g, device=device) + 0.1

    def whole(*numbers_: int) -> Tensor:
        return torch.tensor(numbers_, device=device)

    layout = whole(0, side, side, 0, 0, 0)[None]
    seed, zero = whole(5), whole(0)
    windows = max(1, n // WINDOW**2)

    def make_normal() -> Timed:
        out = numbers(n)
        return Timed("normal", lambda: normal_(out, layout, seed, zero, zero), n, 4)

    def make_step(mode: float = 0.0) -> Timed:
        fields, mean, var, previous = numbers(5, n), numbers(n), numbers(n), numbers(n)
        fields[1], clock, observed = 6.0, torch.full_like(mean, 8.0), torch.full_like(mean, torch.inf)
        coef = torch.tensor([[0.5, mode, 0.4, 1, 2]], device=device)

        def call() -> None:
            coef[0, 0] *= 0.9999  # levels must fall for pixels to move
            step_(fields, mean, var, observed, clock, previous, layout, seed, coef, zero)

        return Timed("step, flow" if mode else "step, noise", call, n, 36)

    def make_flow() -> Timed:
        return make_step(1.0)

    def make_moments() -> Timed:
        mean, m2, value, count = numbers(n), numbers(n), numbers(n), whole(4)
        return Timed("moments", lambda: moments_(count, mean, m2, value), n, 20)

    def tiles() -> Tensor:
        across = torch.arange(0, side, TILE, device=device)
        rows, cols = torch.meshgrid(across, across, indexing="ij")
        return torch.stack([torch.zeros_like(rows), rows, cols], -1).reshape(-1, 3).contiguous()

    def make_gather() -> Timed:
        fields, which = numbers(5, n), tiles()
        out = numbers(len(which), 5, TILE, TILE)
        return Timed("gather", lambda: gather(fields, layout, which, out), out.numel(), 8)

    def make_blend() -> Timed:
        which = tiles()
        mean_w, var_w = numbers(len(which), 1, TILE, TILE), numbers(len(which), 1, TILE, TILE)
        mean, var, weight = numbers(n), numbers(n), numbers(n)
        return Timed("blend", lambda: blend_(mean_w, var_w, which, layout, 4, 4, mean, var, weight), n, 32)

    def make_blend_finish() -> Timed:
        mean, var, weight = numbers(n), numbers(n), numbers(n)
        return Timed("blend_finish", lambda: blend_finish_(mean, var, weight), n, 20)

    def make_pyramid_fill() -> Timed:
        fields = numbers(5, n)
        room = torch.empty(pyramid_workspace(layout.cpu()), device=device)
        return Timed("pyramid_fill", lambda: pyramid_fill_(fields, layout, room, 0.0, 100.0), n, 16)

    def make_precondition() -> Timed:
        win, world = numbers(windows, 5, WINDOW, WINDOW), torch.zeros(windows, device=device)
        out = torch.empty(windows, FEATURES, WINDOW, WINDOW, device=device, memory_format=torch.channels_last)
        local = torch.empty(windows, LOCALS, WINDOW, WINDOW, device=device)
        moved = 4 * (5 + FEATURES + LOCALS)
        return Timed("precondition", lambda: precondition(win, world, 100.0, out, local), windows * WINDOW**2, moved)

    def make_apply_kernels() -> Timed:
        win, local = numbers(windows, 5, WINDOW, WINDOW), numbers(windows, LOCALS, WINDOW, WINDOW)
        raw = numbers(windows, RAW_CHANNELS, WINDOW, WINDOW)
        mean, var = numbers(windows, 1, WINDOW, WINDOW), numbers(windows, 1, WINDOW, WINDOW)
        moved = 4 * (RAW_CHANNELS + 5 + 4 + 2)
        return Timed("apply_kernels", lambda: apply_kernels(raw, win, local, mean, var), mean.numel(), moved)

    def make_calibrate() -> Timed:
        win, local = numbers(windows, 5, WINDOW, WINDOW), numbers(windows, LOCALS, WINDOW, WINDOW)
        mean, var = numbers(windows, 1, WINDOW, WINDOW), numbers(windows, 1, WINDOW, WINDOW)
        levels, scales = torch.logspace(-1, 1, 6, device=device), torch.logspace(-1, 1, 7, device=device)
        factors, shifts = torch.ones(8, 8, device=device), torch.zeros(8, 8, device=device)

        def call() -> None:
            calibrate_(mean, var, win, local, levels, scales, factors, shifts)

        return Timed("calibrate", call, mean.numel(), 28)

    def make_predictive_score() -> Timed:
        value, mean, var, ivar, z, log_prob = (numbers(1, side, side) for _ in range(6))
        sums = torch.zeros(score_sums_shape(1, side, side, TILE), dtype=torch.float64, device=device)

        def call() -> None:
            predictive_score(value, mean, var, ivar, "gaussian", 0.0, TILE, z, log_prob, sums)

        return Timed("predictive_score", call, n, 24)

    def make_probe() -> Timed:
        out = numbers(n)
        return Timed("probe", lambda: probe_(out, layout, seed, zero), n, 4)

    def make_hutchinson() -> Timed:
        product = numbers(n)
        trace, room = (torch.zeros(*s, dtype=torch.float64, device=device) for s in ((1,), (1, CHUNKS)))
        return Timed("hutchinson", lambda: hutchinson_(trace, product, layout, seed, zero, room), n, 4)

    def make_bin() -> Timed:
        fine, out = numbers(1, 1, side, side), numbers(1, 1, side // 2, side // 2)
        return Timed("bin", lambda: bin(fine, 2, out), n, 5)

    def make_bin_adjoint() -> Timed:
        out, coarse = numbers(1, 1, side, side), numbers(1, 1, side // 2, side // 2)
        return Timed("bin_adjoint", lambda: bin_adjoint(coarse, 2, out), n, 5)

    def make_fft_point() -> Timed:
        spectrum, transfer, out = (numbers(1, side, side, 2) for _ in range(3))
        ridge = numbers(1)
        return Timed("fft_point", lambda: fft_point(spectrum, transfer, ridge, "solve", out), n, 24)

    return [make_normal, make_step, make_flow, make_moments, make_gather, make_blend, make_blend_finish,
            make_pyramid_fill, make_precondition, make_apply_kernels, make_calibrate, make_predictive_score,
            make_probe, make_hutchinson, make_bin, make_bin_adjoint, make_fft_point]  # fmt: skip


def network_step(device: str, planes: int | None = None) -> NetworkStep:
    """A step on planes of 64 x 64 with the shipped prior; the same state whenever it is called."""
    from gencosmo.priors.diffusion import DiffusionPrior
    from gencosmo.priors.room import Room

    prior = DiffusionPrior.load("sky", device)
    grid, count = prior.grid, planes or (1 if device == "cpu" else 64)
    n = count * TILE * TILE
    g = torch.Generator().manual_seed(0)
    rows = [[p * TILE * TILE, TILE, TILE, 0, 0, p << 8] for p in range(count)]
    layout = torch.tensor(rows, device=device)
    seed = torch.arange(count, device=device)
    fields = torch.randn(5, n, generator=g).to(device)
    fields[1], fields[3] = 2.0, 1.0
    observed, clock = torch.full((n,), torch.inf, device=device), torch.full((n,), 2.0, device=device)
    mean, var, weight, previous = (torch.zeros(n, device=device) for _ in range(4))
    coef = torch.tensor([[0.5, 0, 0, 1, 2], [0.25, 1, 0.4, 1, 3], [0.0, 1, 0.3, 1, 4]], device=device)
    index = torch.zeros(1, dtype=torch.int64, device=device)
    windows = torch.tensor([[p, -grid.halo, -grid.halo] for p in range(count)], device=device)
    tree = torch.empty(pyramid_workspace(layout.cpu()), device=device)
    room = Room(count, grid.size, prior.device)
    crop = [grid.halo, grid.halo + TILE] * 2

    def call() -> None:
        pyramid_fill_(fields, layout, tree, 0.0, prior.card.prior_var)
        for flat in (mean, var, weight):
            flat.zero_()
        found = prior.predict_windows(fields, layout, windows, crop, "frame", room)
        mean_w, var_w = (room.whole(number, part, crop) for number, part in enumerate(found))
        blend_(mean_w, var_w, windows, layout, grid.halo, grid.ramp, mean, var, weight)
        blend_finish_(mean, var, weight)
        step_(fields, mean, var, observed, clock, previous, layout, seed, coef, index)

    call()
    return NetworkStep(
        call, lambda: prior.network(room.of(count, TILE, TILE).features), index, [fields, previous, mean, var]
    )
