"""Files to learn from: what `gencosmo pack` and `gencosmo train` take, and what they leave out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import escape, glob, has_magic

from gencosmo.errors import FormatError, GencosmoError, GencosmoWarning, InputError
from gencosmo.io import read
from gencosmo.io.fits import ReadOptions, prepare, read_plane
from gencosmo.io.hdus import open_fits
from gencosmo.io.registry import FORMATS
from gencosmo.training.pack import Frame, frames_of_image, read_packed

__all__ = ["Sources", "find_files", "read_sources"]

COMPANIONS = (
    "mask",
    "weight",
    "wht",
    "psf",
    "segm",
    "invvar",
    "ivar",
    "sigma",
    "rms",
    "_ood_",
    "_oow_",
    "flag",
    "badpix",
)
"""Words in the names of files that stand beside images."""


@dataclass(frozen=True)
class Sources:
    """What was found: frames, the pixel scales that files told, and files left out with the reason."""

    frames: list[Frame]
    scales: list[float]
    left_out: dict[str, str]


def find_files(inputs: Sequence[str]) -> tuple[list[str], list[str]]:
    """Files behind the inputs, each once and in order, and companions that were left out.

    A folder stands for all its files of a known ending, a pattern with `*` for what it matches. A file that is named is
    taken as it is, unless an image that it stands beside is named too, as when the shell resolves `*.fits`.

    Raises
    ------
    InputError
        When an input names nothing.
    """
    endings = (".npz", *(ending for row in FORMATS.values() for ending in row.endings))
    files: list[str] = []
    beside: list[str] = []
    images = [os.path.basename(name).lower() for name in inputs if not _word_in(name)]
    for name in inputs:
        if os.path.isdir(name):
            inside = glob(os.path.join(escape(name), "**", "*"), recursive=True)
            found = sorted(path for path in inside if path.lower().endswith(endings))
        elif has_magic(name) and not os.path.exists(name):
            found = sorted(path for path in glob(name, recursive=True) if os.path.isfile(path))
        else:
            (beside if _stands_beside(name, images) else files).append(name)
            continue
        if not found:
            raise InputError(f"{name}: no file of {', '.join(endings)}", code="not_found")
        for path in found:
            (beside if _word_in(path) else files).append(path)
    return list(dict.fromkeys(files)), beside


def _word_in(path: str) -> str:
    """The first word of :data:`COMPANIONS` in a file's name, or nothing."""
    base = os.path.basename(path).lower()
    return next((word for word in COMPANIONS if word in base), "")


def _stands_beside(path: str, images: Sequence[str]) -> bool:
    """True where the name says mask or weight, and what comes before that word is how an image's name begins."""
    word, base = _word_in(path), os.path.basename(path).lower()
    stem = base.partition(word)[0].rstrip("._-") if word else ""
    return bool(stem) and any(image.startswith(stem) for image in images)


def frames_of_file(path: str, group: str) -> Iterator[tuple[Frame, float | None]]:
    """All usable science planes of a file with their pixel scale, where the file tells it.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    options = ReadOptions()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GencosmoWarning)
        try:
            file = open_fits(path)
        except FormatError:
            image = read(path)  # another format, or the same error again
            yield from ((frame, image.pixel_scale) for frame in frames_of_image(image, group))
            return
        with file:
            for layout in prepare(file, options):
                image = read_plane(file, layout, options)
                yield from ((frame, image.pixel_scale) for frame in frames_of_image(image, group))


def read_sources(inputs: Sequence[str], group: str) -> Sources:
    """Frames of all inputs; a file that cannot be used is left out, unless it is the only one.

    Raises
    ------
    InputError
        When an input names nothing, or nothing usable is left.
    """
    files, beside = find_files(inputs)
    frames: list[Frame] = []
    scales: list[float] = []
    left_out = dict.fromkeys(beside, "stands beside an image; name it alone to take it")
    for path in files:
        try:
            if path.endswith(".npz"):
                frames += read_packed([path])
                continue
            found = list(frames_of_file(path, group))
        except GencosmoError as error:
            if len(files) == 1:
                raise
            left_out[path] = error.message
            continue
        frames += [frame for frame, _ in found]
        scales += [scale for _, scale in found if scale is not None]
        if not found:
            left_out[path] = "no plane with both sides >= 16 pixels, half of its pixels good, and tones"
    if not frames:
        reasons = "; ".join(f"{path}: {why}" for path, why in list(left_out.items())[:3])
        raise InputError(f"no frame to train on ({reasons})", code="empty_pack", hint="give images or packed files")
    return Sources(frames, scales, left_out)
