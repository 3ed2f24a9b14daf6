"""What an op says about one member of a batch does not depend on the others, nor on their order, nor in the last bit;
and non-finite numbers end up where the reference puts them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.ops.cases import CASES, Arguments, copies
from tests.ops.law import assert_law
from tests.ops.test_all_ops import tensors

LEADING = (
    "precondition",
    "apply_kernels",
    "apply_kernels_backward",
    "calibrate_",
    "predictive_score",
    "bin",
    "bin_adjoint",
    "fft_point",
    "convolve",
    "shrink",
    "grow",
)
"""The batch is the first axis of every tensor that is no table."""
TABLES = ("levels", "scales", "factors", "shifts", "weights", "bias")
PLANES = ("normal_", "step_", "pyramid_fill_", "probe_", "hutchinson_")
"""The batch is the rows of the layout, and of what has one row per plane."""
PIXELS = ("moments_", "blend_finish_")
"""Every pixel is a batch of its own."""
SUMS = ("convolve_backward",)
"""The batch is summed over."""
PER_PLANE = ("layout", "seed", "index", "trace")


def bytes_of(values: dict[str, Tensor]) -> dict[str, bytes]:
    return {name: value.contiguous().numpy().tobytes() for name, value in values.items()}


def orders(count: int) -> list[list[list[int]]]:
    """One by one, backwards, and the even before the odd."""
    every = list(range(count))
    return [[[k] for k in every], [every[::-1]], [every[::2], every[1::2]]]


def by_leading_axis(op: str, arguments: Arguments, parts: list[list[int]]) -> dict[str, Tensor]:
    out = {name: arguments[name].clone() for name in CASES[op].writes}
    for part in parts:
        mine = {k: v[part] if isinstance(v, Tensor) and k not in TABLES else v for k, v in arguments.items()}
        for name, value in CASES[op].run(mine).items():
            out[name][part] = value
    return out


def by_planes(op: str, arguments: Arguments, parts: list[list[int]]) -> dict[str, Tensor]:
    """In place, part after part, on one canvas."""
    made = copies(arguments)
    shared = {k: v for k, v in made.items() if k not in PER_PLANE}
    if op == "hutchinson_":
        del shared["workspace"]
    for part in parts:
        mine = {k: v[part] for k, v in made.items() if k not in shared}
        CASES[op].call(**{k: shared.get(k, mine.get(k)) for k in made})
        if "trace" in mine:
            made["trace"][part] = mine["trace"]
    return {name: made[name] for name in CASES[op].writes}


def by_pixels(op: str, arguments: Arguments, parts: list[list[int]]) -> dict[str, Tensor]:
    out = {name: arguments[name].clone() for name in CASES[op].writes}
    for part in parts:
        mine = {k: v if k == "count" else v[part] for k, v in arguments.items()}
        for name, value in CASES[op].run(mine).items():
            out[name] = value if name == "count" else out[name].index_copy(0, torch.tensor(part), value)
    return out


def by_windows(op: str, arguments: Arguments, parts: list[list[int]]) -> dict[str, Tensor]:
    """Windows of `gather` in any order; those of `blend_` plane by plane, because a plane's order is its own."""
    made, plane = copies(arguments), arguments["windows"][:, 0]
    for part in parts:
        if op == "blend_":
            which = torch.cat([(plane == p).nonzero()[:, 0] for p in part])
            CASES[op].call(**made | {k: made[k][which] for k in ("mean_w", "var_w", "windows")})
        else:
            mine = made | {"windows": made["windows"][part], "out": made["out"][part]}
            CASES[op].call(**mine)
            made["out"][part] = mine["out"]
    return {name: made[name] for name in CASES[op].writes}


def by_holes(op: str, arguments: Arguments, parts: list[list[int]]) -> dict[str, Tensor]:
    """Each part on a canvas of its own; its holes are then put together."""
    together = copies(arguments)["fields"]
    starts = arguments["starts"].tolist()
    CASES[op].call(**arguments | {"fields": together, "starts": torch.zeros(1, dtype=torch.int64),
                                  "pixels": arguments["pixels"][:0], "planes": arguments["planes"][:0]})  # fmt: skip
    for part in parts:
        pixels = torch.cat([arguments["pixels"][starts[k] : starts[k + 1]] for k in part])
        sizes = torch.tensor([0] + [starts[k + 1] - starts[k] for k in part]).cumsum(0)
        mine = copies(arguments) | {"pixels": pixels, "starts": sizes, "planes": arguments["planes"][part]}
        together[4, pixels] = CASES[op].run(mine)["fields"][4, pixels]
    return {"fields": together}


def by_cells(op: str, arguments: Arguments, parts: list[list[int]]) -> dict[str, Tensor]:
    """In place, the hidden pixels of some cells after those of others, with the cells of each part numbered anew."""
    made = copies(arguments)
    for part in parts:
        place = torch.full((made["cells"].shape[0],), -1).index_copy(0, torch.tensor(part), torch.arange(len(part)))
        mine = place[made["cell_of"]] >= 0
        own = {"pixels": made["pixels"][mine], "cell_of": place[made["cell_of"]][mine], "cells": made["cells"][part]}
        CASES[op].call(**made | own)
    return {"fields": made["fields"]}


def batch(op: str, arguments: Arguments) -> int:
    if op in LEADING:
        return int(arguments[tensors(arguments)[0]].shape[0])
    if op == "biharmonic_fill_":
        return int(arguments["planes"].shape[0])
    if op == "kriging_fill_":
        return int(arguments["cells"].shape[0])
    if op in PIXELS:
        return int(arguments["mean"].shape[0])
    return int(arguments["windows" if op == "gather" else "layout"].shape[0])


@pytest.mark.parametrize("op", [op for op in CASES if op not in SUMS])
def test_no_member_knows_of_the_others(op: str) -> None:
    arguments = CASES[op].arguments(2)
    count = batch(op, arguments)
    assert count > 1
    want = bytes_of(CASES[op].run(arguments))
    ways = {"gather": by_windows, "blend_": by_windows, "biharmonic_fill_": by_holes, "kriging_fill_": by_cells}
    ways |= (
        dict.fromkeys(LEADING, by_leading_axis) | dict.fromkeys(PLANES, by_planes) | dict.fromkeys(PIXELS, by_pixels)
    )
    for parts in orders(count)[1 if op in PIXELS else 0 :]:
        assert bytes_of(ways[op](op, arguments, parts)) == want


LOOSE = ("fft_point", "apply_kernels_backward", "convolve", "convolve_backward")
"""Which non-finite number comes out is convention: complex infinities, and 0 times inf in the chain rule or where a
tile is transformed."""
FLOATS = [
    (op, name)
    for op, case in CASES.items()
    for name in tensors(case.arguments())
    if case.arguments()[name].is_floating_point() and name not in case.scratch
    if name == "fields" or name not in case.writes
]


@pytest.mark.parametrize(("op", "name"), FLOATS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, -1.0])
def test_odd_numbers_go_where_the_reference_puts_them(op: str, name: str, value: float) -> None:
    case = CASES[op]
    arguments = case.arguments(4)
    flat = arguments[name].view(-1) if arguments[name].is_contiguous() else arguments[name].permute(0, 2, 3, 1).view(-1)
    flat[5 :: max(7, flat.numel() // 3)] = value
    got = case.run(arguments)
    truth, plain = case.expected(arguments, torch.float64), case.expected(arguments, torch.float32)
    for written in case.writes:
        rows = range(5) if written == "fields" else [slice(None)]
        for row in rows:
            trio = [values[written][row] for values in (got, truth, plain)]
            if op in LOOSE:
                finite = torch.stack([torch.isfinite(values) for values in trio])
                assert bool(finite[0].all()) == bool(finite[1].all()), "non-finite numbers lost"
                trio = [values[finite.all(0)] for values in trio]
            assert_law(*trio, f"{op} {written} {row}")
