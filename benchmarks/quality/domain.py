"""How often does the warning `out_of_domain` come for ordinary frames? Reads as users do, masks and noise included.

``GENCOSMO_TEST_DATA=... python -m benchmarks.quality.domain [--prior sky]``
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import gencosmo
from benchmarks.quality.frames import SPLIT, data_root
from benchmarks.quality.planes import planes
from gencosmo.errors import GencosmoError
from gencosmo.image import Image, as_image
from gencosmo.priors.cards import Card, card_path
from gencosmo.tasks.domain import unseen_looks

STAMPS = ("cosmos_hst100", "rubin_alerts", "ztf_alerts", "hsc_scarlet")
"""Groups whose files hold many images that are not HDUs of one exposure."""


def images(path: Path, group: str) -> Iterator[Image]:
    """Images of a file; those without a usable one give none."""
    if group in STAMPS:
        for plane in planes(path):
            if min(plane.shape) >= 8 and np.isfinite(plane).mean() > 0.4:
                yield as_image(plane)
        return
    try:
        yield gencosmo.read(path)
    except GencosmoError:
        return


def frames(files: int | None = None, leave: tuple[str, ...] = ()) -> Iterator[tuple[str, str, Image]]:
    """(group, file, image) of all science frames, or of the first `files` of each group that are not huge."""
    for side in ("train", "test"):
        for group in (name for name in SPLIT[side]["groups"] if name not in leave):
            for path in science_files(group)[:files]:
                if files is None or path.stat().st_size < 3e6:
                    yield from ((group, path.name, image) for image in images(path, group))


def science_files(group: str) -> list[Path]:
    """Files of a group that hold images of the sky."""
    paths = sorted((data_root() / "astro" / group).iterdir())
    skip = SPLIT["files"]["skip"]
    return [p for p in paths if not any(w in p.name.lower() for w in skip) and (".fits" in p.name or ".npz" in p.name)]


def main() -> None:
    """Count."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--prior", default="sky")
    card = Card.read(card_path(parser.parse_args().prior))
    count, judged, alarms = 0, 0, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for group, name, image in frames():
            for channel in range(image.shape[0]):
                count, judged = count + 1, judged + (image.data[channel].size >= 9000)
                if why := unseen_looks(image, channel, card):
                    alarms.append(f"{group}/{name}: {why}")
    print(f"{len(alarms)} alarms in {count} planes, {judged} of them large enough to be judged")
    print("\n".join(alarms))


if __name__ == "__main__":
    main()
