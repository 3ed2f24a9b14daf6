"""Heads, bases and units that `benchmarks.architecture` compares: what an arm sees, and what it makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gencosmo.ops import precondition
from gencosmo.ops.apply_kernels import DEVIATION, ETA, LOG_VAR_MAX, LOG_VAR_MIN
from gencosmo.ops.precondition import FEATURES
from gencosmo.priors.bases import tile_windows
from gencosmo.priors.layers import Exit
from gencosmo.priors.network import DenoiserNetwork, NetworkShape
from gencosmo.training.levels import Task
from gencosmo.training.trainer import Settings, features_of

SOFTENING = 3.0
"""Flux, in noise sigmas, at which the asinh state turns from linear to logarithmic."""
BLOCKS = (1, 1, 1)
DILATION = 3
"""Pixels between the taps of the wide kernel."""


@dataclass(frozen=True)
class View:
    """A task as one arm sees it, in the arm's units."""

    win: Tensor
    features: Tensor
    local: Tensor
    task: Task


def both_bases(task: Task, win: Tensor) -> View:
    """As shipped; `win` are the task's windows, which all but the asinh state share."""
    return View(win, *features_of(win, task.world, Settings.prior_var), task)


def one_base(row: int, other: int) -> Callable[[Task, Tensor], View]:
    """Row `row` of the windows stands for both bases; the variance of the base stays, both fills need it."""

    def view(task: Task, win: Tensor) -> View:
        win = win.clone()
        win[:, other] = win[:, row]
        return both_bases(task, win)

    return view


def own_box(task: Task, win: Tensor) -> View:
    """The local statistics of the pixel's own box, however much quieter a box beside it is."""
    with patch.object(precondition, "CONTRAST", torch.inf):
        features, local = precondition.precondition_reference(win, task.world, Settings.prior_var)
    return View(win, features.to(memory_format=torch.channels_last), local, task)


def slope(flux: Tensor) -> Tensor:
    """Derivative of the asinh state."""
    return 1 / (1 + (flux / SOFTENING) ** 2).sqrt()


def asinh(flux: Tensor) -> Tensor:
    return SOFTENING * torch.asinh(flux / SOFTENING)


def asinh_state(task: Task, win: Tensor) -> View:
    """State, levels and target as asinh magnitudes; levels by the slope at the observed value."""
    sigma = torch.where(torch.isinf(task.sigma), task.sigma, task.sigma * slope(task.z))
    noise = task.noise * slope(task.z)
    bent = replace(task, z=asinh(task.z), sigma=sigma, target=asinh(task.target), noise=noise)
    prior_var = float(asinh(torch.tensor(Settings.prior_var**0.5))) ** 2
    win = tile_windows(bent.z, bent.sigma, prior_var)
    return View(win, *features_of(win, bent.world, prior_var), bent)


def asinh_moments(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of ``a sinh(u/a)`` for Gaussian u, in closed form; a variance past e^8 is cut."""
    u, v = mean / SOFTENING, (var / SOFTENING**2).clamp(max=8.0)
    second = 0.5 * torch.expm1(v) * (v.exp() * torch.cosh(2 * u) + 1)
    return SOFTENING * torch.sinh(u) * (v / 2).exp(), SOFTENING**2 * second


def taps(weights: Tensor, x: Tensor, view: View, dilation: int = 1) -> Tensor:
    """``d/s sum_k (w_k - mean w) (x_k - m)`` over 5x5 neighbours `dilation` apart, bounded as in `apply_kernels`."""
    _x0, m, s, d, _gate = view.local.unbind(1)
    height, width, reach = *x.shape[-2:], 2 * dilation
    padded, places = F.pad(x[:, None], (reach,) * 4, mode="replicate")[:, 0], [dilation * i for i in range(5)]
    apart = torch.stack([padded[:, i : i + height, j : j + width] for i in places for j in places], dim=1)
    apart = (apart - m[:, None]).clamp(-DEVIATION * s[:, None], DEVIATION * s[:, None])
    return d / s * (weights * (apart - apart.mean(1, keepdim=True))).sum(1)


Raw = Sequence[Tensor]
"""Raw output by part, each (B, k, H, W); the last is the log variance."""
Head = Callable[[Raw, View], tuple[Tensor, Tensor]]
"""Raw output and view to the head's value and the unit of its standard deviation, both (B, H, W)."""


def direct(raw: Raw, view: View) -> tuple[Tensor, Tensor]:
    _x0, m, s, _d, _gate = view.local.unbind(1)
    return m + s * raw[0][:, 0], s


def residual(raw: Raw, view: View) -> tuple[Tensor, Tensor]:
    x0, _m, _s, d, gate = view.local.unbind(1)
    return x0 + gate * d * raw[0][:, 0], d


def kernels(raw: Raw, view: View) -> tuple[Tensor, Tensor]:
    x0, d = view.local[:, 0], view.local[:, 3]
    return x0 + taps(raw[0], x0, view), d


def both_kernels(raw: Raw, view: View) -> tuple[Tensor, Tensor]:
    head, d = kernels(raw, view)
    return head + raw[1][:, 0] * (view.win[:, 2] - view.win[:, 4]), d


def shipped(raw: Raw, view: View) -> tuple[Tensor, Tensor]:
    """`gencosmo.ops.apply_kernels` before its pull to the data, which all arms share."""
    head, d = both_kernels(raw, view)
    return head + view.local[:, 4] * d * raw[2][:, 0], d


def wide(raw: Raw, view: View) -> tuple[Tensor, Tensor]:
    """And 5x5 taps three pixels apart, which reach data from the middle of a disc."""
    head, d = shipped(raw, view)
    return head + taps(raw[3], view.local[:, 0], view, DILATION), d


@dataclass(frozen=True)
class Arm:
    """What is compared: words, what the arm sees, its head with the raw channels of each part, and its network."""

    words: str
    view: Callable[[Task, Tensor], View]
    head: Head
    raw: tuple[int, ...]
    widths: tuple[int, int, int] = (16, 32, 48)
    seed: int = 0


BIHARMONIC, PYRAMID = one_base(4, 2), one_base(2, 4)
NARROW, BROAD = (22, 42, 60), (14, 26, 36)
SHIPPED, WIDE = (25, 1, 1, 1), (25, 1, 1, 25, 1)
ARMS = {
    "direct": Arm("m + s r, nothing of a base", both_bases, direct, (1, 1), NARROW),
    "residual, biharmonic": Arm("x0 + d r", BIHARMONIC, residual, (1, 1), NARROW),
    "residual, pyramid": Arm("x0 + d r", PYRAMID, residual, (1, 1), NARROW),
    "kernels, biharmonic": Arm("5x5 over x0", BIHARMONIC, kernels, (25, 1)),
    "kernels, pyramid": Arm("5x5 over x0", PYRAMID, kernels, (25, 1)),
    "kernels, both": Arm("5x5 over x0, weight of the other base", both_bases, both_kernels, (25, 1, 1)),
    "shipped": Arm("5x5 over x0, weight of the other base, residual", both_bases, shipped, SHIPPED),
    "shipped, second seed": Arm("the same from other weights", both_bases, shipped, SHIPPED, seed=1),
    "asinh state": Arm("the shipped head on asinh(flux / 3)", asinh_state, shipped, SHIPPED),
    "own box": Arm("the shipped head without the quietest box", own_box, shipped, SHIPPED),
    "wide kernels": Arm("and 5x5 taps three pixels apart", both_bases, wide, WIDE, BROAD),
}


def build(arm: Arm) -> DenoiserNetwork:
    """The package's network with as many outputs as the head reads."""
    torch.manual_seed(arm.seed)
    network = DenoiserNetwork(NetworkShape(arm.widths, BLOCKS))
    network.exit = Exit(arm.widths[0], sum(arm.raw))
    nn.init.zeros_(network.exit.weight)
    nn.init.zeros_(network.exit.bias)
    return network.to(memory_format=torch.channels_last)


def multiply_adds(arm: Arm) -> float:
    """Of all convolutions, per pixel."""
    first, *_rest = arm.widths
    total = 9 * first * (FEATURES + sum(arm.raw))
    for level, width in enumerate(arm.widths):
        deepest = level == len(arm.widths) - 1
        total += 18 * width**2 * (BLOCKS[level] + (not deepest)) / 4 ** (level + 1)
        total += 0 if deepest else 2 * width * arm.widths[level + 1] / 4 ** (level + 1)
    return total


def predict(arm: Arm, network: nn.Module, view: View) -> tuple[Tensor, Tensor]:
    """Mean and variance (B, H, W) in the arm's units, with the limits of `apply_kernels`."""
    raw = network(view.features).split(arm.raw, 1)
    head, unit = arm.head(raw, view)
    z, sigma, d = view.win[:, 0], view.win[:, 1], view.local[:, 3]
    unknown = torch.isinf(sigma)
    level2 = torch.where(unknown, torch.zeros_like(sigma), sigma * sigma)
    share = torch.where(unknown, torch.ones_like(sigma), level2 / ((ETA * d) ** 2 + level2))
    datum = torch.where(unknown, torch.zeros_like(z), z)
    spread = unit * unit * raw[-1][:, 0].clamp(LOG_VAR_MIN, LOG_VAR_MAX).exp()
    return datum + share * (head - datum), torch.where(unknown, spread, level2 * spread / (level2 + spread))


def in_flux(arm: Arm, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    """Moments of an arm in flux."""
    return asinh_moments(mean, var) if arm.view is asinh_state else (mean, var)
