"""The development images as planes of network flux, by group, following split.toml."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.quality.more import TABLES, more_frames
from benchmarks.quality.planes import micro_planes, planes
from benchmarks.quality.sources import data_root, is_known
from gencosmo.scaling import measure_scaling
from gencosmo.training.pack import MIN_SIDE, Frame, write_packed

HERE = Path(__file__).parent
SPLIT = tomllib.loads((HERE / "split.toml").read_text())


def to_flux(plane: np.ndarray) -> np.ndarray | None:
    """Network flux of one plane, NaN = bad; None when it holds no usable signal."""
    good = np.isfinite(plane)
    if min(plane.shape) < MIN_SIDE or good.mean() < 0.5:
        return None
    values = np.where(good, plane, 0).astype(np.float32)
    if np.unique(values[good][:5000]).size < 12:
        return None
    flux = measure_scaling(values, good).to_flux(values)
    return np.where(good, flux, np.nan).astype(np.float32)


def modality(path: Path) -> str:
    """What a microscopy file shows, from split.toml."""
    table = SPLIT["micro"]["modality"]
    return str(table.get(f"{path.parent.name}/{path.name}") or table[path.parent.name])


def micro_frames(side: str) -> Iterator[tuple[Path, Frame]]:
    """Microscopy frames of the `train` or `test` groups."""
    split = SPLIT["micro"]
    for group in split[side]["groups"]:
        for path in sorted((data_root() / "micro" / group).iterdir()):
            if any(word in path.name.lower() for word in split["files"]["skip"]) or not is_known(data_root(), path):
                continue
            only = split["files"]["only_plane"].get(group)
            for index, plane in enumerate(micro_planes(path)):
                if index >= split["files"]["max_planes_per_file"]:
                    break
                if only in (None, index) and min(plane.shape) >= MIN_SIDE and np.unique(plane).size >= 12:
                    yield path, Frame(measure_scaling(plane, np.isfinite(plane)).to_flux(plane), group)


def frames(side: str) -> Iterator[tuple[Path, Frame]]:
    """Science frames of the sky from the `train` or `test` groups."""
    skip, most = SPLIT["files"]["skip"], SPLIT["files"]["max_planes_per_file"]
    for group in SPLIT[side]["groups"]:
        for path in sorted((data_root() / "astro" / group).iterdir()):
            name = path.name.lower()
            if any(word in name for word in skip) or not (".fits" in name or name.endswith(".npz")):
                continue
            if not is_known(data_root(), path):
                continue
            for index, plane in enumerate(planes(path)):
                if index >= most:
                    break
                flux = to_flux(plane)
                if flux is not None:
                    yield path, Frame(flux, group)


KINDS = {"sky": (SPLIT, frames), "micro": (SPLIT["micro"], micro_frames)}
"""Kind of image: its part of the split, and where its frames come from."""


def main() -> None:
    """Pack one side of the split: `python -m benchmarks.quality.frames train runs/sky.packed.npz [--kind micro]`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("side", choices=["train", "test"])
    parser.add_argument("output", type=Path)
    parser.add_argument("--kind", choices=list(KINDS), default="sky")
    parser.add_argument("--more", type=Path, metavar="FOLDER", help="fetched files, see docs/training.md")
    given = parser.parse_args()
    if given.more and given.side != "train":
        parser.error("--more holds images to train on: pack the side train, or leave it out")
    given.output.parent.mkdir(parents=True, exist_ok=True)
    split, source = KINDS[given.kind]
    kept = [frame for _, frame in source(given.side)]
    groups = list(split[given.side]["groups"])
    if given.more:
        kept += _more(given.more, given.kind)
        groups = list(dict.fromkeys([*groups, *(frame.group for frame in kept)]))
    print(f"{write_packed(given.output, kept)} frames, {sum(f.flux.size for f in kept) / 1e6:.1f} Mpix")
    for group in groups:
        mine = [f for f in kept if f.group == group]
        print(f"  {group:20s} {len(mine):4d} frames {sum(f.flux.size for f in mine) / 1e6:7.2f} Mpix")


def _more(folder: Path, kind: str) -> list[Frame]:
    """Frames of more_<kind>.toml; files that cannot be used are named."""
    more, faults = more_frames(folder, TABLES[kind])
    for fault in faults:
        print(f"left out: {fault}")
    print(f"{len(more)} more frames, {len(faults)} files left out")
    return more


if __name__ == "__main__":
    main()
