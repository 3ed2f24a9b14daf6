"""Diffusion priors: a trained network as a :class:`~gencosmo.priors.base.Denoiser` on the canvas.

One evaluation fills the bases on the image, then runs the network window by window and blends. On a CPU the network
sees one window at a time, so that a result does not depend on what else is in the batch, not even in its last bit.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gencosmo.errors import DeviceError, PriorError
from gencosmo.ops.apply_kernels import apply_kernels
from gencosmo.ops.biharmonic_fill import HOLE_SIGMA
from gencosmo.ops.blend import blend_, blend_finish_
from gencosmo.ops.calibrate import calibrate_
from gencosmo.ops.calibrate import calibration_bins as bins_of
from gencosmo.ops.gather import gather
from gencosmo.ops.precondition import precondition
from gencosmo.priors.base import World
from gencosmo.priors.bases import Components, fill_bases_, find_components
from gencosmo.priors.cards import Calibration, Card, card_path, check_calibration, check_weights
from gencosmo.priors.network import DenoiserNetwork, NetworkShape
from gencosmo.priors.room import Room, Work, room_for
from gencosmo.priors.turns import check_turns, turned, turned_back
from gencosmo.priors.vector import check_vector
from gencosmo.windows import Canvas, WindowGrid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CROP_STEP = 32
"""Parts of windows grow in steps of this many pixels: a shape of its own for each would cost more than it saves."""
GPU_BATCH = 64
"""Windows per network call on an accelerator."""
WORLDS = {"frame": 0.0, "scene": 1.0}


@dataclass
class Plan:
    """Windows to run, the part of each that is computed (``top, bottom, left, right``), the memory to run them in,
    and the hole components of the last evaluation (kept while the holes stay the same).

    `watch` is called with the number of windows done and of all windows; it may raise to stop.
    """

    windows: Tensor
    crops: NDArray[np.int64]
    watch: Callable[[int, int], None] | None = None
    hole: Tensor | None = None
    components: Components | None = None
    room: Room | None = None


@dataclass(frozen=True)
class Corrections:
    """A calibration as :func:`~gencosmo.ops.calibrate.calibrate_` takes it; tables by world."""

    levels: Tensor
    scales: Tensor
    factors: dict[str, Tensor]
    shifts: dict[str, Tensor]

    @classmethod
    def of(cls, calibration: Calibration, device: torch.device) -> Corrections:
        """The tables on a device."""
        levels, scales = (
            torch.tensor(edges, dtype=torch.float64).exp().to(device, torch.float32)
            for edges in (calibration.level_edges, calibration.scale_edges)
        )
        factors = {world: torch.tensor(table, device=device) for world, table in calibration.factors.items()}
        shifts = {world: torch.tensor(table, device=device) for world, table in calibration.shifts.items()}
        return cls(levels, scales, factors, {w: torch.zeros_like(table) for w, table in factors.items()} | shifts)


class DiffusionPrior:
    """A trained denoiser with its card.

    Parameters
    ----------
    network : DenoiserNetwork
    card : Card
    calibration : Calibration or None
        None returns the network's own variance.
    device : torch.device or str

    Attributes
    ----------
    turns : int
        Orientations of each window that an answer is the mean of: 1, 2, 4 or 8, and so many times as long.
    """

    def __init__(
        self,
        network: DenoiserNetwork,
        card: Card,
        calibration: Calibration | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device, self.turns = torch.device(device), 1
        # torch's type stubs do not know that modules take a memory format
        network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = network.eval()
        for weight in self.network.parameters():
            weight.requires_grad_(False)
        self.card, self.calibration = card, calibration
        self.grid = WindowGrid(card.core, card.halo, card.ramp)
        if self.grid.size % network.shape.stride:
            raise PriorError(
                f"card {card.name}: window of {self.grid.size} pixels is not a multiple of {network.shape.stride}",
                code="bad_card",
                hint="mend core or halo in the card",
            )
        self._corrections = None if calibration is None else Corrections.of(calibration, self.device)

    @classmethod
    def load(cls, name: str | Path, device: torch.device | str = "cpu") -> DiffusionPrior:
        """Load a shipped prior by name, or one from the path of its card.

        Raises
        ------
        PriorError
            When it does not exist, or its weights or calibration do not belong to the card.
        """
        from safetensors.torch import load_file

        path = card_path(name)
        card = Card.read(path)
        weights = path.with_suffix(".safetensors")
        check_weights(card, weights)
        network = DenoiserNetwork(NetworkShape(**{k: tuple(v) for k, v in card.shape.items()}))
        network.load_state_dict({key: value.float() for key, value in load_file(weights).items()})
        calibration_path = path.with_name(f"{path.stem}.calibration.json")
        calibration = Calibration.read(calibration_path) if calibration_path.is_file() else None
        if calibration is not None:
            check_calibration(card, calibration)
        return cls(network, card, calibration, device)

    def with_turns(self, turns: int) -> Self:
        """The same prior, asked in so many orientations (see :class:`DiffusionPrior`).

        Raises
        ------
        UsageError
            When `turns` is not 1, 2, 4 or 8.
        """
        check_turns(turns)
        if turns == self.turns:
            return self
        other = copy.copy(self)
        other.turns = turns
        return other

    @property
    def correlation_length(self) -> float:
        """Pixels over which unknown pixels hang together (from the card)."""
        return self.card.correlation_length

    @property
    def sigma_max(self) -> float:
        """Highest finite level the network was trained for."""
        return self.card.sigma_max

    def quantile(self, level: str, world: World) -> float:
        """Half-width of the central interval `level` ("68" or "95") in standard deviations."""
        if self.calibration is None:
            return {"68": 1.0, "95": 1.96}[level]
        return float(self.calibration.quantiles[world][level])

    def plan(self, canvas: Canvas, unknown: Tensor, watch: Callable[[int, int], None] | None = None) -> Plan:
        """Windows that hold a wanted pixel, and what of them has to be computed; `watch` as in :class:`Plan`."""
        windows = self.grid.plan(canvas, unknown)
        # one by one, a window is cut to what is wanted of it; in batches only at the plane's edges, for few shapes
        step = CROP_STEP if self._batch == 1 else self.grid.size
        # whoever asks for some of a window's unknown pixels gets the bytes that all of them would get
        there = unknown | torch.isinf(canvas.sigma_obs)
        crops = self.grid.crops(canvas, there, windows, self.network.shape.stride, step)
        if self._batch > 1:
            order = np.lexsort(crops.T[::-1])
            windows, crops = windows[torch.from_numpy(order).to(windows.device)], crops[order]
        return Plan(windows, crops, watch)

    @torch.no_grad()
    def denoise_(self, canvas: Canvas, plan: Plan, world: World) -> None:
        """Write ``canvas.mean`` and ``canvas.var`` at the planned pixels from ``canvas.fields``."""
        hole = canvas.fields[1] >= HOLE_SIGMA
        if plan.hole is None or plan.components is None or not torch.equal(plan.hole, hole):
            plan.hole, plan.components = hole, find_components(canvas.fields[1], canvas.layout, self.card.surface)
        fill_bases_(canvas.fields, canvas.layout, self.card.prior_var, plan.components)
        for flat in (canvas.mean, canvas.var, canvas.weight):
            flat.zero_()
        card, count = self.card, plan.windows.shape[0]
        plan.room = plan.room or Room(min(self._batch, count), self.grid.size, self.device)
        for first, last in self._batches(plan.crops):
            crop = plan.crops[first].tolist()
            for windows, *found in self._predicted(canvas, plan.windows[first:last], crop, world, plan.room):
                if plan.watch is not None:
                    plan.watch(first, count)
                mean, var = (plan.room.whole(number, part, crop) for number, part in enumerate(found))
                out = canvas.mean, canvas.var, canvas.weight
                blend_(mean, var, windows, canvas.layout, card.halo, card.ramp, *out)
        blend_finish_(canvas.mean, canvas.var, canvas.weight)

    def _predicted(
        self, canvas: Canvas, windows: Tensor, crop: list[int], world: World, room: Room
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Windows with the mean and variance of their part; in halves where a device has no memory for all of them."""
        found = None
        try:
            found = self.predict_windows(canvas.fields, canvas.layout, windows, crop, world, room)
        except torch.OutOfMemoryError:
            if windows.shape[0] == 1:
                raise DeviceError(
                    f"{self.device} has no memory for one window of {self.grid.size}x{self.grid.size} pixels",
                    code="device_oom",
                    hint="free the device's memory, or use --device cpu",
                ) from None
        if found is not None:
            yield windows, *found
            return
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        for half in torch.split(windows, (windows.shape[0] + 1) // 2):
            yield from self._predicted(canvas, half, crop, world, room)

    def predict_windows(
        self, fields: Tensor, layout: Tensor, windows: Tensor, crop: Sequence[int], world: World, room: Room
    ) -> tuple[Tensor, Tensor]:
        """Mean and calibrated variance (B, 1, h, w) of the part `crop` of windows (B, 3) of filled `fields`."""
        top, bottom, left, right = crop
        work = room.of(windows.shape[0], bottom - top, right - left)
        gather(fields, layout, windows + windows.new_tensor([0, top, left]), work.win)
        return self.answer(work.win, world, work)

    def answer(self, win: Tensor, world: World, work: Work | None = None) -> tuple[Tensor, Tensor]:
        """Mean and calibrated variance (B, 1, h, w) of gathered windows (B, 5, h, w): the mean over all turns."""
        work = work or room_for(win)
        mean, var = work.mean, work.var
        self._one_answer(win, world, work)
        if self.turns == 1:
            return mean, var
        sums = mean.clone(), var.clone()
        for number in range(1, self.turns):
            one = turned(win, number)
            there = work if one.shape == win.shape else room_for(one)
            self._one_answer(one, world, there)
            for total, part in zip(sums, (there.mean, there.var), strict=True):
                total += turned_back(part, number)
        for total, part in zip(sums, (mean, var), strict=True):
            torch.div(total, self.turns, out=part)
        return mean, var

    def _one_answer(self, win: Tensor, world: World, work: Work) -> None:
        """Mean and calibrated variance of windows as they lie, into `work`."""
        work.asked.fill_(WORLDS[world])
        precondition(win, work.asked, self.card.prior_var, work.features, work.local, work.workspace)
        raw = self.network(work.features)
        apply_kernels(raw, win, work.local, work.mean, work.var)
        if self._corrections is not None:
            found = self._corrections
            calibrate_(
                work.mean,
                work.var,
                win,
                work.local,
                found.levels,
                found.scales,
                found.factors[world],
                found.shifts[world],
            )

    def _batches(self, crops: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """First and last window of batches of one shape."""
        changes = np.flatnonzero((crops[1:] != crops[:-1]).any(1)) + 1
        for start, end in pairwise([0, *changes.tolist(), len(crops)]):
            for first in range(start, end, self._batch):
                yield first, min(end, first + self._batch)

    @property
    def _batch(self) -> int:
        return 1 if self.device.type == "cpu" else GPU_BATCH

    def self_test(self) -> None:
        """Compare the card's test vector with what this machine computes.

        Raises
        ------
        PriorError
            When they differ by more than float rounding explains.
        """
        check_vector(self)


def calibration_bins(win: Tensor, local: Tensor, levels: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Indices (B, h, w) into a calibration's tables, from its edges: of ``log(sigma/d)`` and of ``log s``."""
    return bins_of(win, local, levels.exp(), scales.exp())
