"""One row per op: arguments for a seed and for planes of any shapes, what it writes, and its reference."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from gencosmo.ops.apply_kernels import RAW_CHANNELS, apply_kernels, apply_kernels_reference
from gencosmo.ops.biharmonic_fill import (
    biharmonic_fill_,
    biharmonic_fill_reference_,
    biharmonic_workspace,
    hole_components,
)
from gencosmo.ops.bin import bin, bin_adjoint, bin_adjoint_reference, bin_reference
from gencosmo.ops.blend import blend_, blend_finish_, blend_finish_reference_, blend_reference_
from gencosmo.ops.calibrate import calibrate_, calibrate_reference_
from gencosmo.ops.fft_point import MODES, fft_point, fft_point_reference
from gencosmo.ops.gather import gather, gather_reference
from gencosmo.ops.hutchinson import CHUNKS, hutchinson_, hutchinson_reference_, probe_, probe_reference_
from gencosmo.ops.kriging_fill import (
    correlation_shapes,
    find_cells,
    gradient_weights,
    kriging_fill_,
    kriging_fill_reference_,
    kriging_workspace,
    neighbour_offsets,
)
from gencosmo.ops.moments import moments_, moments_reference_
from gencosmo.ops.normal import normal_, normal_reference_
from gencosmo.ops.precondition import FEATURES, LOCALS, SCRATCH, precondition, precondition_reference
from gencosmo.ops.predictive_score import (
    FAMILIES,
    density_constant,
    predictive_score,
    predictive_score_reference,
    score_sums_shape,
)
from gencosmo.ops.pyramid_fill import pyramid_fill_, pyramid_fill_reference_, pyramid_workspace
from gencosmo.ops.step import step_, step_reference_
from tests.ops.canvases import HALO, RAMP, SHAPES, SIZE, canvas, planes, seeds, windows_of
from tests.ops.cases_layers import LAYERS

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """An op, its arguments in order, and which of them it writes."""

    call: Callable[..., None]
    reference: Callable[..., None]
    make: Callable[..., Arguments]
    writes: tuple[str, ...]
    schema: str
    scratch: tuple[str, ...] = ()
    hidden: Callable[[Arguments], Arguments] | None = None
    host_only: bool = False

    def arguments(self, seed: int = 0, shapes: tuple[tuple[int, int], ...] = SHAPES) -> Arguments:
        return copies(_made(self.make, seed, shapes))

    def run(self, arguments: Arguments) -> dict[str, Tensor]:
        """What the op writes, from copies of the arguments."""
        mine = copies(arguments)
        self.call(**mine)
        return {name: mine[name] for name in self.writes}

    def expected(self, arguments: Arguments, dtype: torch.dtype) -> dict[str, Tensor]:
        """What the reference writes when it computes in `dtype`."""
        mine = {
            name: value.to(dtype, copy=True) if isinstance(value, Tensor) and value.is_floating_point() else value
            for name, value in copies(arguments).items()
        }
        self.reference(**{name: value for name, value in mine.items() if name not in self.scratch})
        return {name: mine[name] for name in self.writes}

    def raw_arguments(self, arguments: Arguments) -> tuple[Any, ...]:
        """Arguments of the registered op, for opcheck."""
        return tuple((self.hidden(arguments) if self.hidden else arguments).values())


@cache
def _made(make: Callable[..., Arguments], seed: int, shapes: tuple[tuple[int, int], ...]) -> Arguments:
    return make(torch.Generator().manual_seed(seed), shapes)


def copies(arguments: Arguments) -> Arguments:
    return {
        k: v.clone(memory_format=torch.preserve_format) if isinstance(v, Tensor) else v for k, v in arguments.items()
    }


def make_normal(g: torch.Generator, shapes: Any) -> Arguments:
    layout, n = planes(shapes)
    step, stream = torch.tensor([3]), torch.tensor(1)
    return {
        "out": torch.zeros(n),
        "layout": layout,
        "seed": seeds(layout),
        "rng_step": step,
        "stream": stream,
    }


def make_step(g: torch.Generator, shapes: Any) -> Arguments:
    layout, fields = canvas(g, shapes)
    n = fields.shape[1]
    observed = fields[1].clone()
    fields[1] = torch.where(torch.isinf(observed), 6.0, observed)
    fields[1][::11] = math.inf
    coef = torch.tensor([[0.5, 0, 0, 1, 2], [0.25, 1, 0.4, 1, 3], [0.0, 1, 0.3, 1, 4]])
    return {
        "fields": fields, "mean": torch.randn(n, generator=g), "var": torch.rand(n, generator=g) - 0.1,
        "sigma_obs": observed, "clock": torch.where(torch.rand(n, generator=g) < 0.7, 8.0, 0.0),
        "previous": torch.randn(n, generator=g), "layout": layout, "seed": seeds(layout), "coef": coef,
        "index": torch.arange(layout.shape[0]) % 3,
    }  # fmt: skip


def make_moments(g: torch.Generator, shapes: Any) -> Arguments:
    n = planes(shapes)[1]
    mean, m2, value = torch.randn(n, generator=g), torch.rand(n, generator=g), torch.randn(n, generator=g)
    return {"count": torch.tensor([4]), "mean": mean, "m2": m2, "value": value}


def make_gather(g: torch.Generator, shapes: Any) -> Arguments:
    layout, fields = canvas(g, shapes)
    windows = windows_of(layout)
    return {
        "fields": fields,
        "layout": layout,
        "windows": windows,
        "out": torch.zeros(len(windows), 5, SIZE, SIZE),
    }


def make_blend(g: torch.Generator, shapes: Any) -> Arguments:
    layout, n = planes(shapes)
    windows = windows_of(layout)
    mean, var = (torch.randn(len(windows), 1, SIZE, SIZE, generator=g) for _ in range(2))
    mean[:, :, 0, 0] = math.nan  # a halo may hold anything
    sums = {name: torch.randn(n, generator=g) for name in ("mean", "var", "weight")}
    return {
        "mean_w": mean,
        "var_w": var,
        "windows": windows,
        "layout": layout,
        "halo": HALO,
        "ramp": RAMP,
        **sums,
    }


def make_finish(g: torch.Generator, shapes: Any) -> Arguments:
    n = planes(shapes)[1]
    weight = torch.rand(n, generator=g)
    weight[::3] = 0
    return {"mean": torch.randn(n, generator=g), "var": torch.rand(n, generator=g), "weight": weight}


def make_pyramid(g: torch.Generator, shapes: Any) -> Arguments:
    layout, fields = canvas(g, shapes)
    scratch = torch.empty(pyramid_workspace(layout))
    return {"fields": fields, "layout": layout, "workspace": scratch, "prior_mean": 0.5, "prior_var": 100.0}


def make_biharmonic(g: torch.Generator, shapes: Any) -> Arguments:
    layout, fields = canvas(g, shapes)
    pixels, starts, owners = hole_components(fields[1], layout)
    scratch = torch.empty(biharmonic_workspace(fields.shape[1], pixels.numel()))
    return {
        "fields": fields, "layout": layout, "pixels": pixels, "starts": starts, "planes": owners,
        "workspace": scratch, "iterations": 8, "limit": 6.0,
    }  # fmt: skip


def make_kriging(g: torch.Generator, shapes: Any) -> Arguments:
    layout, fields = canvas(g, shapes)
    found = find_cells(*hole_components(fields[1], layout), layout)
    tables = {"offsets": neighbour_offsets(), "shapes": correlation_shapes(), "weights": gradient_weights()}
    scratch = torch.empty(kriging_workspace(found))
    return {"fields": fields, "layout": layout, **vars(found), **tables, "workspace": scratch, "limit": 6.0}


def window_batch(g: torch.Generator, shapes: Any) -> Tensor:
    made = make_gather(g, shapes)
    gather_reference(**made)
    return made["out"][:8].contiguous()


def make_precondition(g: torch.Generator, shapes: Any) -> Arguments:
    win = window_batch(g, shapes)
    count, _, height, width = win.shape
    features = torch.zeros(count, FEATURES, height, width).to(memory_format=torch.channels_last)
    local, world = torch.zeros(count, LOCALS, height, width), torch.arange(count) % 2.0
    return {"win": win, "world": world, "prior_var": 100.0, "features": features, "local": local}


def make_apply(g: torch.Generator, shapes: Any) -> Arguments:
    made = make_precondition(g, shapes)
    count, _, height, width = made["win"].shape
    local = precondition_reference(made["win"], made["world"], 100.0)[1].contiguous()
    raw = 0.3 * torch.randn(count, RAW_CHANNELS, height, width, generator=g)
    mean, var = torch.zeros(count, 1, height, width), torch.zeros(count, 1, height, width)
    return {"raw": raw, "win": made["win"], "local": local, "mean": mean, "var": var}


def image_shape(shapes: Any) -> tuple[int, int, int]:
    """Two images of the first shape, or none."""
    return (2, *shapes[0]) if shapes else (0, 4, 4)


def make_score(g: torch.Generator, shapes: Any, family: str = "student_t") -> Arguments:
    shape, tile = image_shape(shapes), 12
    images = {name: torch.randn(shape, generator=g) for name in ("value", "mean", "var", "ivar")}
    images["value"] *= 3
    images["var"] = images["var"].abs() * 4 - 0.2
    images["ivar"] = torch.where(images["ivar"] < -1, 0.0, images["ivar"].abs() + 0.01)
    images["value"][images["ivar"] == 0] = math.nan  # what is not known is not read
    out = {name: torch.zeros(shape) for name in ("z", "log_prob")}
    sums = torch.zeros(score_sums_shape(*shape, tile), dtype=torch.float64)
    return {**images, "family": family, "parameter": 4.0, "tile": tile, **out, "sums": sums}


def _score_hidden(arguments: Arguments) -> Arguments:
    made = {k: v for k, v in arguments.items() if k not in ("family", "parameter", "tile", "z", "log_prob", "sums")}
    family, parameter = arguments["family"], arguments["parameter"]
    made.update(family=FAMILIES[family], parameter=parameter, constant=density_constant(family, parameter))
    return {**made, **{k: arguments[k] for k in ("tile", "z", "log_prob", "sums")}}


def make_probe(g: torch.Generator, shapes: Any) -> Arguments:
    layout, n = planes(shapes)
    return {"out": torch.zeros(n), "layout": layout, "seed": seeds(layout), "rng_step": torch.tensor([2])}


def make_hutchinson(g: torch.Generator, shapes: Any) -> Arguments:
    made = make_probe(g, shapes)
    n, count = made.pop("out").shape[0], len(made["layout"])
    trace, product = torch.zeros(count, dtype=torch.float64), torch.randn(n, generator=g)
    return {"trace": trace, "product": product, **made, "workspace": torch.empty(count, CHUNKS, dtype=torch.float64)}


def make_bin(g: torch.Generator, shapes: Any) -> Arguments:
    count, height, width = image_shape(shapes)
    fine = torch.randn(count, 3, 3 * height, 3 * width, generator=g)
    return {"fine": fine, "factor": 3, "out": torch.zeros(count, 3, height, width)}


def make_bin_adjoint(g: torch.Generator, shapes: Any) -> Arguments:
    made = make_bin(g, shapes)
    return {"coarse": torch.randn(made["out"].shape, generator=g), "factor": 3, "out": torch.zeros_like(made["fine"])}


def make_point(g: torch.Generator, shapes: Any, mode: str = "solve") -> Arguments:
    shape = (*image_shape(shapes), 2)
    spectrum, transfer = torch.randn(shape, generator=g), torch.randn(shape, generator=g)
    ridge = torch.rand(shape[0], generator=g) + 0.01
    return {"spectrum": spectrum, "transfer": transfer, "ridge": ridge, "mode": mode, "out": torch.zeros(shape)}


def _point_hidden(arguments: Arguments) -> Arguments:
    return {**arguments, "mode": MODES[arguments["mode"]]}


def _precondition_reference(win: Tensor, world: Tensor, prior_var: float, features: Tensor, local: Tensor) -> None:
    for out, value in zip((features, local), precondition_reference(win, world, prior_var), strict=True):
        out.copy_(value)


def _apply_reference(raw: Tensor, win: Tensor, local: Tensor, mean: Tensor, var: Tensor) -> None:
    for out, value in zip((mean, var), apply_kernels_reference(raw, win, local), strict=True):
        out.copy_(value)


def make_calibrate(g: torch.Generator, shapes: Any) -> Arguments:
    made = make_apply(g, shapes)
    win, local = made["win"], made["local"]
    # exact pixels hold what the kernels give them; some variances reach the level's when they are corrected
    level = torch.where(torch.isinf(win[:, 1:2]), 3.0, win[:, 1:2])
    mean, share = (torch.randn(level.shape, generator=g) for _ in range(2))
    var = level * level * share.abs().clamp(max=1)
    levels, scales = torch.tensor([0.1, 0.4, 1.0, 3.0, 20.0]), torch.tensor([0.5, 1.0, 4.0])
    factors, shifts = 0.2 + 2 * torch.rand(7, 4, generator=g), torch.randn(7, 4, generator=g)
    return {
        "mean": mean, "var": var, "win": win, "local": local, "levels": levels, "scales": scales, "factors": factors,
        "shifts": shifts,
    }  # fmt: skip


def make_backward(g: torch.Generator, shapes: Any) -> Arguments:
    made = make_apply(g, shapes)
    raw, win = made["raw"], made["win"]
    raw[:, -1] *= 20  # some log variances beyond the clamp
    gradients = {f"grad_{name}": torch.randn(win[:, :1].shape, generator=g) for name in ("mean", "var")}
    return {"raw": raw, "win": win, "local": made["local"], **gradients, "grad_raw": torch.zeros_like(raw)}


def _backward_reference(
    raw: Tensor, win: Tensor, local: Tensor, grad_mean: Tensor, grad_var: Tensor, grad_raw: Tensor
) -> None:
    leaf = raw.detach().requires_grad_()
    outputs = apply_kernels_reference(leaf, win, local)
    grad_raw.copy_(torch.autograd.grad(outputs, leaf, (grad_mean, grad_var))[0])


def _with_scratch(arguments: Arguments) -> Arguments:
    count, _, height, width = arguments["win"].shape
    return {**arguments, "workspace": torch.empty(count, SCRATCH, height, width)}


CASES = {
    "normal_": Case(normal_, normal_reference_, make_normal, ("out",), "normal_"),
    "step_": Case(step_, step_reference_, make_step, ("fields", "previous"), "step_"),
    "moments_": Case(moments_, moments_reference_, make_moments, ("count", "mean", "m2"), "moments_"),
    "gather": Case(gather, gather_reference, make_gather, ("out",), "gather"),
    "blend_": Case(blend_, blend_reference_, make_blend, ("mean", "var", "weight"), "blend_"),
    "blend_finish_": Case(
        blend_finish_, blend_finish_reference_, make_finish, ("mean", "var"), "blend_finish_"
    ),
    "pyramid_fill_": Case(
        pyramid_fill_, pyramid_fill_reference_, make_pyramid, ("fields",), "pyramid_fill_", ("workspace",)
    ),
    "biharmonic_fill_": Case(
        biharmonic_fill_, biharmonic_fill_reference_, make_biharmonic, ("fields",), "biharmonic_fill_",
        ("planes", "workspace"),
    ),
    "kriging_fill_": Case(
        kriging_fill_, kriging_fill_reference_, make_kriging, ("fields",), "kriging_fill_",
        ("blocks", "offsets", "shapes", "weights", "workspace"),
    ),
    "precondition": Case(
        precondition, _precondition_reference, make_precondition, ("features", "local"), "precondition",
        hidden=_with_scratch,
    ),
    "predictive_score": Case(
        predictive_score, predictive_score_reference, make_score, ("z", "log_prob", "sums"), "predictive_score",
        hidden=_score_hidden,
    ),
    "probe_": Case(probe_, probe_reference_, make_probe, ("out",), "probe_"),
    "hutchinson_": Case(
        hutchinson_, hutchinson_reference_, make_hutchinson, ("trace",), "hutchinson_", ("workspace",)
    ),
    "bin": Case(bin, bin_reference, make_bin, ("out",), "bin"),
    "bin_adjoint": Case(bin_adjoint, bin_adjoint_reference, make_bin_adjoint, ("out",), "bin_adjoint"),
    "fft_point": Case(fft_point, fft_point_reference, make_point, ("out",), "fft_point", hidden=_point_hidden),
    "apply_kernels": Case(apply_kernels, _apply_reference, make_apply, ("mean", "var"), "apply_kernels"),
    "calibrate_": Case(calibrate_, calibrate_reference_, make_calibrate, ("mean", "var"), "calibrate_"),
    "apply_kernels_backward": Case(
        torch.ops.gencosmo.apply_kernels_backward.default, _backward_reference, make_backward, ("grad_raw",),
        "apply_kernels_backward",
    ),
}  # fmt: skip
CASES |= {
    name: Case(
        call,
        reference,
        lambda g, shapes, made=make: made(g, image_shape(shapes)),
        ("out",),
        name,
        scratch,
        host_only=True,
    )
    for name, (call, reference, make, scratch) in LAYERS.items()
}
