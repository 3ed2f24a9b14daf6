"""Diffusion priors: a trained network as a :class:`~gencosmo.priors.base.Denoiser` on the canvas.

One evaluation fills the bases on the image, then runs the network window by window and blends. On a CPU the network
sees one window at a time, so that a result does not depend on what else is in the batch, not even in its last bit.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from gencosmo.errors import DeviceError, PriorError
from gencosmo.ops.apply_kernels import apply_kernels
from gencosmo.ops.biharmonic_fill import HOLE_SIGMA
from gencosmo.ops.blend import blend_, blend_finish_
from gencosmo.ops.calibrate import calibrate_
from gencosmo.ops.calibrate import calibration_bins as bins_of
from gencosmo.ops.gather import gather
from gencosmo.ops.precondition import FEATURES, LOCALS, SCRATCH, precondition
from gencosmo.priors.base import World
from gencosmo.priors.bases import Components, fill_bases_, find_components
from gencosmo.priors.cards import Calibration, Card, card_path, check_calibration, check_weights
from gencosmo.priors.network import DenoiserNetwork, NetworkShape
from gencosmo.priors.turns import check_turns, turned, turned_back
from gencosmo.priors.vector import check_vector
from gencosmo.windows import Canvas, WindowGrid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GPU_BATCH = 64
"""Windows per network call on an accelerator."""
WORLDS = {"frame": 0.0, "scene": 1.0}


@dataclass
class Plan:
    """Windows to run, the memory to run them in, and the hole components of the last evaluation (kept while the holes
    stay the same).

    `watch` is called with the number of windows done and of all windows; it may raise to stop.
    """

    windows: Tensor
    watch: Callable[[int, int], None] | None = None
    hole: Tensor | None = None
    components: Components | None = None
    room: tuple[Tensor, ...] = ()


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
        """Windows that hold a wanted pixel; `watch` as in :class:`Plan`."""
        return Plan(self.grid.plan(canvas, unknown), watch)

    @torch.no_grad()
    def denoise_(self, canvas: Canvas, plan: Plan, world: World) -> None:
        """Write ``canvas.mean`` and ``canvas.var`` in all planned windows from ``canvas.fields``."""
        hole = canvas.fields[1] >= HOLE_SIGMA
        if plan.hole is None or plan.components is None or not torch.equal(plan.hole, hole):
            plan.hole, plan.components = hole, find_components(canvas.fields[1], canvas.layout, self.card.surface)
        fill_bases_(canvas.fields, canvas.layout, self.card.prior_var, plan.components)
        for flat in (canvas.mean, canvas.var, canvas.weight):
            flat.zero_()
        if not plan.room:
            plan.room = self._room(min(self._batch, plan.windows.shape[0]))
        done, room = 0, plan.room
        for batch in self._batches(plan.windows):
            for windows, mean, var in self._predicted(canvas, batch, world, room):
                if plan.watch is not None:
                    plan.watch(done, plan.windows.shape[0])
                done += windows.shape[0]
                blend_(
                    mean,
                    var,
                    windows,
                    canvas.layout,
                    self.card.halo,
                    self.card.ramp,
                    canvas.mean,
                    canvas.var,
                    canvas.weight,
                )
        blend_finish_(canvas.mean, canvas.var, canvas.weight)

    def _predicted(
        self, canvas: Canvas, windows: Tensor, world: World, room: tuple[Tensor, ...]
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Windows with their mean and variance; in halves where a device has no memory for all of them."""
        found = None
        try:
            found = self.predict_windows(canvas.fields, canvas.layout, windows, world, room)
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
            yield from self._predicted(canvas, half, world, room)

    def predict_windows(
        self, fields: Tensor, layout: Tensor, windows: Tensor, world: World, room: tuple[Tensor, ...] = ()
    ) -> tuple[Tensor, Tensor]:
        """Mean and calibrated variance (B, 1, h, w) of windows (B, 3) of filled `fields`; in `room`, if given."""
        batch = windows.shape[0]
        room = room or self._room(batch)
        if room[0].shape[0] != batch:
            room = tuple(tensor[:batch] for tensor in room)
        gather(fields, layout, windows, room[0])
        return self.answer(room[0], world, room)

    def answer(self, win: Tensor, world: World, room: tuple[Tensor, ...] = ()) -> tuple[Tensor, Tensor]:
        """Mean and calibrated variance (B, 1, h, w) of gathered windows (B, 5, h, w): the mean over all turns."""
        room = room or self._room(win.shape[0], win.shape[-1])
        mean, var = room[3:5]
        self._one_answer(win, world, room)
        if self.turns == 1:
            return mean, var
        sums = mean.clone(), var.clone()
        for number in range(1, self.turns):
            self._one_answer(turned(win, number), world, room)
            for total, one in zip(sums, (mean, var), strict=True):
                total += turned_back(one, number)
        for total, one in zip(sums, (mean, var), strict=True):
            torch.div(total, self.turns, out=one)
        return mean, var

    def _one_answer(self, win: Tensor, world: World, room: tuple[Tensor, ...]) -> None:
        """Mean and calibrated variance of windows as they lie, into `room`."""
        _, features, local, mean, var, asked, workspace = room
        asked.fill_(WORLDS[world])
        precondition(win, asked, self.card.prior_var, features, local, workspace)
        raw = self.network(features)
        apply_kernels(raw, win, local, mean, var)
        if self._corrections is not None:
            found = self._corrections
            calibrate_(mean, var, win, local, found.levels, found.scales, found.factors[world], found.shifts[world])

    def _room(self, batch: int, side: int | None = None) -> tuple[Tensor, ...]:
        """Memory for windows, features, local statistics, mean, variance and worlds of a batch, and scratch."""
        size = side or self.grid.size
        win, local, mean, var, workspace = (
            torch.empty(batch, n, size, size, device=self.device) for n in (5, LOCALS, 1, 1, SCRATCH)
        )
        features = torch.empty(batch, FEATURES, size, size, device=self.device, memory_format=torch.channels_last)
        return win, features, local, mean, var, torch.empty(batch, device=self.device), workspace

    def _batches(self, windows: Tensor) -> Iterator[Tensor]:
        return iter(torch.split(windows, self._batch))

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
