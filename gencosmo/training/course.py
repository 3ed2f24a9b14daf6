"""A training run that a user starts: a budget, legs, held-out figures, and the way back after a kill.

A leg is a fixed number of steps. Its tiles are drawn anew from (seed, first step), and a checkpoint is written only at
its end. So a run that was killed and started again goes through the same tiles as one that was not, and with a budget
in tiles ends with the same weights, bit for bit.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from gencosmo.errors import Cancelled, UsageError
from gencosmo.priors.network import DenoiserNetwork, NetworkShape
from gencosmo.training.draws import Draws
from gencosmo.training.trainer import Report, Settings, Trainer
from gencosmo.training.validation import HeldOut, Marks

__all__ = ["Course", "Logbook"]

LEG = 100
"""Steps between checkpoints."""


@dataclass(frozen=True)
class Logbook:
    """Where a run keeps its state between legs, and what it was started with.

    Attributes
    ----------
    checkpoint : Path
        The trainer's state.
    notes : Path
        JSON beside it: the run's identity, and the held-out figures before the first step.
    identity : str
        Hash of everything that the tiles and steps depend on.
    """

    checkpoint: Path
    notes: Path
    identity: str

    @classmethod
    def of(cls, folder: Path, name: str, facts: dict[str, Any]) -> Logbook:
        """Log book of the run `name` in `folder`, started with these facts."""
        identity = sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
        return cls(folder / f"{name}.checkpoint.pt", folder / f"{name}.run.json", identity)

    def open(self, before: Callable[[], Marks]) -> dict[str, float]:
        """Held-out figures before the first step: of the run's beginning, when it is resumed.

        Raises
        ------
        UsageError
            When the checkpoint there belongs to a run with other options or frames.
        """
        if self.checkpoint.exists() and self.notes.exists():
            notes: dict[str, Any] = json.loads(self.notes.read_text())
            if notes["identity"] != self.identity:
                raise UsageError(
                    f"{self.checkpoint} belongs to a run with other frames or options",
                    code="other_run",
                    hint="give the options of that run to go on with it, or remove the file to start again",
                )
            known: dict[str, float] = notes["before"]
            return known
        self.checkpoint.unlink(missing_ok=True)
        marks = before().to_dict()
        self.notes.write_text(json.dumps({"identity": self.identity, "before": marks}, indent=1) + "\n")
        return marks

    def close(self) -> None:
        """The prior is written: nothing is left to resume."""
        self.checkpoint.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)


class Course(Trainer):
    """A trainer with legs.

    Parameters
    ----------
    make_draws : callable
        Seed to a source of tiles.
    shape : NetworkShape
    settings : Settings
        `minutes` may be infinite when there is a budget in tiles.
    tiles : int or None
        Budget in tiles.
    device : str
    """

    def __init__(
        self,
        make_draws: Callable[[int], Draws],
        shape: NetworkShape,
        settings: Settings,
        tiles: int | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(make_draws(settings.seed), shape, settings, device)
        self.make_draws, self.tiles = make_draws, tiles

    def progress(self) -> float:
        """Share of the budget that is spent, by the clock or by tiles, whichever is nearer to its end."""
        by_tiles = self.step * self.settings.batch / self.tiles if self.tiles else 0.0
        return min(1.0, max(super().progress(), by_tiles))

    def go(self, book: Logbook, held: HeldOut, report: Report, cancel: threading.Event | None = None) -> Marks:
        """Run what is left of the budget; returns the held-out figures of the averaged network.

        Raises
        ------
        Cancelled
            Between two steps, when `cancel` is set; the last finished leg is kept.
        """
        if book.checkpoint.exists():
            self.resume(book.checkpoint)
            report(f"resumed at step {self.step}, {self.elapsed / 60:.1f} min")
        marks = held.measure(self._averaged())
        while self.progress() < 1:
            # a leg that starts at the run's own first step has its draws already
            if self.step:
                self.draws = self.make_draws(self.settings.seed + self.step)
            square = self._leg(cancel)
            self.save(book.checkpoint)
            marks = held.measure(self._averaged())
            tiles = self.step * self.settings.batch
            speed = tiles / max(self.elapsed, 1e-9)
            report(f"{100 * self.progress():.0f} %: {tiles} tiles, {speed:.0f}/s, loss {square:.3f}; {marks}")
        return marks

    def _averaged(self) -> DenoiserNetwork:
        return self.average.eval()

    def _leg(self, cancel: threading.Event | None) -> float:
        """Steps up to the next multiple of `LEG` or the end of the budget; returns their mean loss."""
        total, count = 0.0, 0
        for _ in range(LEG):
            if cancel is not None and cancel.is_set():
                raise Cancelled(
                    f"stopped at step {self.step}; the leg up to step {self.step - count} is kept",
                    hint="the same command goes on from there",
                )
            start = time.perf_counter()
            loss = self.update(self.draws.draw())
            total, count = total + float(loss.square), count + 1
            self.elapsed += time.perf_counter() - start
            if self.progress() >= 1:
                break
        return total / max(1, count)
