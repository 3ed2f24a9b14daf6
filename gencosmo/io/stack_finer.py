"""Planes on a finer grid, kept on disk until they are written: mean, and with it std and prior share.

The hidden folder `.NAME.RUN.part` beside the output is the state of a run, as in `gencosmo.io.stack_session`: it goes
when the output is there or the run fails; a run that is stopped or killed leaves it, and `resume` goes on from it.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import Cancelled, InputError
from gencosmo.io.axes import Axes, Plane, Section
from gencosmo.io.ngff import Step, check_version, steps_of_details
from gencosmo.io.registry import named_format
from gencosmo.io.stack import Details, Stack
from gencosmo.io.stack_write import put_with_sides, side_name
from gencosmo.io.storage import put_in_place, storage_errors
from gencosmo.io.tiff_new import write_ome
from gencosmo.io.tiff_samples import write_samples
from gencosmo.io.zarr_finer import write_finer_zarr
from gencosmo.result import Result

__all__ = ["FinerStack", "write_finer_stack"]

LAYERS = ("mean", "std", "prior_share")
RESIDUAL, SAMPLES = "residual", "samples"


class FinerStack:
    """Results of `super_resolve` by plane; a context manager that makes the folder of results.

    Parameters
    ----------
    out : str
        The output.
    stack : Stack
        What was read.
    planes : sequence of Plane
        Those that are worked on; the output holds no others.
    scale : (int, int)
        Finer pixels per pixel, rows and columns.
    state : str
        Of this run: input and options.
    resume : bool
        Go on from what the same run left; otherwise what an earlier run left is deleted.
    samples : bool
        Whether posterior samples are kept.
    """

    def __init__(
        self,
        out: str,
        stack: Stack,
        planes: Sequence[Plane],
        scale: tuple[int, int],
        *,
        state: str = "",
        resume: bool = False,
        samples: bool = False,
    ) -> None:
        self.out, self._keep, self._resume = os.path.abspath(out.rstrip("/" + os.sep)), samples, resume
        self._chosen = [sorted({plane[axis] for plane in planes}) for axis in range(3)]
        sizes = dict(zip("TCZ", map(len, self._chosen), strict=True))
        sizes |= {"Y": stack.axes.size("Y") * scale[0], "X": stack.axes.size("X") * scale[1]}
        letters = "".join(a for a in stack.axes.letters if a in "TCZ" or (a == "S" and "C" not in stack.axes.letters))
        letters = letters.replace("S", "C") + "YX"
        self.axes = Axes(letters, tuple(sizes[letter] for letter in letters))
        self.details = _finer_details(stack.details, scale, self._chosen)
        self.steps = _finer_steps(stack, scale, self._chosen)
        self.version = str(getattr(stack, "version", "") or "0.5")
        self._first, self._coarse = planes[0], stack.axes.inside[3:]
        place, name = os.path.split(self.out)
        self._stale = os.path.join(glob.escape(place), f".{glob.escape(name)}.*.part")
        self.folder = os.path.join(place, f".{name}.{state[:16]}.part")

    def __enter__(self) -> FinerStack:
        with storage_errors(self.out):
            for stale in glob.glob(self._stale):
                if os.path.isdir(stale) and not (self._resume and stale == self.folder):
                    shutil.rmtree(stale)
            os.makedirs(self.folder, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stopped = kind is not None and (issubclass(kind, Cancelled) or not issubclass(kind, Exception))
        if not stopped:
            shutil.rmtree(self.folder, ignore_errors=True)

    def put(self, plane: Plane, result: Result, told: Mapping[str, Any]) -> None:
        """Keep the result of one plane, and what is told of it, which says that it is whole.

        Raises
        ------
        InputError
            `non_finite`: that is never written.
        """
        size = self.axes.inside[3:]
        for name in (*LAYERS, RESIDUAL):
            values = getattr(result, name, None)
            if values is None:
                continue
            values = np.asarray(values, np.float32).reshape(self._coarse if name == RESIDUAL else size)
            if not np.isfinite(values).all():
                raise InputError(
                    f"{plane}: {name} came out non-finite; nothing is written",
                    code="non_finite",
                    hint="look for absurd values in the input (gencosmo check)",
                )
            self._save(name, plane, values)
        if self._keep and result.samples is not None:
            self._save(SAMPLES, plane, np.asarray(result.samples, np.float32).reshape(-1, *size))
        with storage_errors(self.out):
            path = self._path("told", plane, "json")
            with open(f"{path}.tmp", "w", encoding="utf-8") as file:
                json.dump(dict(told), file)
            os.replace(f"{path}.tmp", path)

    def _save(self, name: str, plane: Plane, values: NDArray[np.float32]) -> None:
        with storage_errors(self.out):
            np.save(self._path(name, plane), values)

    def told(self, plane: Plane) -> dict[str, Any] | None:
        """Return what was told of a plane that is done, None of another."""
        path = self._path("told", plane, "json")
        if not os.path.exists(path):
            return None
        with open(path, encoding="utf-8") as file:
            words: dict[str, Any] = json.load(file)
        return words

    def result(self, plane: Plane, meta: Mapping[str, Any]) -> Result:
        """Return what was kept of a plane, for pictures."""
        kept = {
            name: np.load(self._path(name, plane))
            for name in (*LAYERS, RESIDUAL)
            if os.path.exists(self._path(name, plane))
        }
        return Result(**kept, target="scene", meta=dict(meta))

    @property
    def drawn(self) -> int:
        """Posterior samples that were kept."""
        path = self._path(SAMPLES, self._first)
        return int(np.load(path, mmap_mode="r").shape[0]) if self._keep and os.path.exists(path) else 0

    def sample(self, number: int, plane: Plane, section: Section) -> NDArray[Any]:
        """Return a posterior sample of a plane of the output."""
        values: NDArray[Any] = np.load(self._path(SAMPLES, self._own(plane)), mmap_mode="r")[(number, *section)]
        return values

    def _path(self, name: str, plane: Plane, kind: str = "npy") -> str:
        return os.path.join(self.folder, f"{name}-{plane.t}-{plane.c}-{plane.z}.{kind}")

    @property
    def layers(self) -> list[str]:
        """What there is, the mean last."""
        return [name for name in reversed(LAYERS) if os.path.exists(self._path(name, self._first))]

    def reader(self, name: str) -> Any:
        """Return ``(plane of the output, section)`` to values."""

        def read(plane: Plane, section: Section) -> NDArray[Any]:
            values: NDArray[Any] = np.load(self._path(name, self._own(plane)), mmap_mode="r")[section]
            return values

        return read

    def _own(self, plane: Plane) -> Plane:
        """The plane of the input behind one of the output."""
        return Plane(*(chosen[n] for chosen, n in zip(self._chosen, plane, strict=True)))


def _finer_details(details: Details, scale: tuple[int, int], chosen: Sequence[Sequence[int]]) -> Details:
    names, colors, channels = details.channel_names, details.channel_colors, chosen[1]
    every = _every(chosen[0]), _every(chosen[2])
    return replace(
        details,
        x=None if details.x is None else details.x / scale[1],
        y=None if details.y is None else details.y / scale[0],
        z=None if details.z is None or not every[1] else details.z * every[1],
        time_step=None if details.time_step is None or not every[0] else details.time_step * every[0],
        channel_names=tuple(names[c] for c in channels) if channels and max(channels) < len(names) else (),
        channel_colors=tuple(colors[c] for c in channels) if channels and max(channels) < len(colors) else (),
        significant_bits=None,
    )


def _every(numbers: Sequence[int]) -> int:
    """How far the chosen times or depths lie apart, 0 when that differs between them."""
    steps = set(np.diff(numbers).tolist())
    return 1 if not steps else steps.pop() if len(steps) == 1 else 0


def _finer_steps(stack: Stack, scale: tuple[int, int], chosen: Sequence[Sequence[int]]) -> dict[str, Step]:
    """Sizes and places of finer pixels: the first one's centre lies half a pixel less half a finer one further up."""
    own: Mapping[str, Step] = getattr(stack, "steps", None) or steps_of_details(stack.details)
    steps = dict(own)
    for letter, times in zip("YX", scale, strict=True):
        step = steps.get(letter, Step())
        fine = step.scale / times
        steps[letter] = Step(fine, step.shift - (step.scale - fine) / 2, step.unit)
    for letter, numbers in (("T", chosen[0]), ("Z", chosen[2])):
        if letter in steps:
            step, every = steps.pop(letter), _every(numbers)
            if every:
                steps[letter] = Step(step.scale * every, step.shift + step.scale * numbers[0], step.unit)
    return steps


def write_finer_stack(
    finer: FinerStack, words: Mapping[str, str], *, overwrite: bool, version: str | None = None
) -> None:
    """Write what was kept. OME-TIFF: `out.ome.tif`, and beside it `out.std.ome.tif` and `out.prior_share.ome.tif`, and
    the samples where they were kept; OME-Zarr of a `version`, default the input's or 0.5: all of it inside.

    Raises
    ------
    UsageError
        `exists`, `ngff`.
    StorageError
        Disk full, folder not writable.
    """
    target, parts = named_format(finer.out), []
    with storage_errors(finer.out):
        if target is not None and target.name == "zarr":
            part = os.path.join(finer.folder, "image.zarr")
            layers = {name: finer.reader(name) for name in finer.layers}
            write_finer_zarr(
                part, finer.axes, layers, finer.details, finer.steps, words=words,
                version=check_version(version or finer.version), drawn=finer.drawn, sample=finer.sample,
            )  # fmt: skip
            put_in_place([(part, finer.out)], overwrite=overwrite)
            return
        for name in finer.layers:
            part = os.path.join(finer.folder, f"{name}.tif")
            own = "" if name == "mean" else name
            write_ome(part, finer.axes, np.float32, finer.reader(name), finer.details, words=words, name=own)
            parts.append((part, side_name(finer.out, own) if own else finer.out))
        if finer.drawn:
            part = os.path.join(finer.folder, "samples.tif")
            write_samples(part, finer.axes, finer.drawn, finer.sample, finer.details, words=words)
            parts.insert(0, (part, side_name(finer.out, SAMPLES)))
        put_with_sides(parts, overwrite=overwrite, run=(words.get("GCMPARNT", ""), words.get("GCMRUN", "")))
