"""How a kernel of the compiled core becomes a torch op, ``torch.ops.gencosmo.<name>``.

Going through torch's dispatcher makes the ops visible to ``torch.compile`` and CUDA graphs, and keeps lazy
views and fake tensors away from the kernels, which read raw memory. All ops work in place or write to given
outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gencosmo.errors import UsageError

try:
    from gencosmo import _core
except ImportError as error:
    raise ImportError(
        f"gencosmo's compiled core cannot be loaded ({error}); build it with `pip install .` in the "
        "repository, a C++20 compiler and CMake >= 3.25 are needed"
    ) from error

from gencosmo.ops._tuning import use_stored_tuning

__all__ = ["LIBRARY", "define", "refuse_grad", "wants_grad"]

LIBRARY = torch.library.Library("gencosmo", "DEF")  # type: ignore[no-untyped-call]
"""Keeps the registrations alive."""

use_stored_tuning()


def define(schema: str, kernel: str, devices: tuple[str, ...] = ("CPU", "CUDA")) -> Callable[..., None]:
    """Register an op that writes into its arguments and returns nothing.

    Parameters
    ----------
    schema : str
        ``name_(Tensor(a!) out, ...) -> ()``, arguments in the kernel's order.
    kernel : str
        Function of ``gencosmo._core``; gets the arguments and the number of threads.
    devices : tuple of str
        Where the op has a kernel.

    Returns
    -------
    callable
        The op's only overload.
    """
    name = schema[: schema.index("(")]
    compiled = getattr(_core, kernel)

    def call(*arguments: Any) -> None:
        compiled(*arguments, torch.get_num_threads())

    LIBRARY.define(schema)  # type: ignore[no-untyped-call]
    for device in devices:
        LIBRARY.impl(name, call, device)  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"gencosmo::{name}", lambda *arguments: _one_device(name, arguments), lib=LIBRARY)
    overload: Callable[..., None] = getattr(torch.ops.gencosmo, name).default
    return overload


def _one_device(name: str, arguments: tuple[Any, ...]) -> None:
    """What an op does to tensors without memory: nothing, but they must agree where they would live."""
    devices = {str(t.device) for t in arguments if isinstance(t, Tensor)}
    if len(devices) > 1:
        raise ValueError(f"gencosmo.ops.{name}: expected tensors on one device, got {', '.join(sorted(devices))}")


def wants_grad(*tensors: Tensor) -> bool:
    """Whether autograd would follow these tensors."""
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)


def refuse_grad(op: str, *tensors: Tensor) -> None:
    """Raise when autograd would follow these tensors: the compiled ops have no gradient, and must not lose
    one.

    Raises
    ------
    UsageError
    """
    if wants_grad(*tensors):
        raise UsageError(
            f"gencosmo.ops.{op} is not differentiable: got a tensor with requires_grad=True while gradients are on",
            code="not_differentiable",
            hint=f"call it under torch.no_grad(), or use {op.rstrip('_')}_reference for gradients",
        )
