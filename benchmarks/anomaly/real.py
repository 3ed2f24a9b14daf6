"""Real anomalies by instrument: AUROC with bootstrap intervals, beside the rivals.

``GENCOSMO_TEST_DATA=... python -m benchmarks.anomaly.real --surveys rubin ztf lenses``

Normals are the stamps that nothing speaks against; every method judges each of them by fits that have not seen it, in
five folds, and an anomaly by the median of the fits. Rubin: dipoles, and stamps with a low reliability. ZTF: stamps
that its two real-bogus scores doubt, and, apart from all others because they are trivial, stamps with missing blocks.
Lenses: six HST images of strong lenses among galaxies of COSMOS; large galaxies and a group without a lens are the
control. Alerts and COSMOS are among what trained the prior `sky`: the pixels are not new to it, the question is.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from astropy.io import fits

from benchmarks.anomaly.compare import auroc, interval, merge
from benchmarks.anomaly.kept import weights_of
from benchmarks.anomaly.rivals import RIVALS
from benchmarks.quality.frames import data_root
from gencosmo.scaling import measure_scaling

Stamps = list[np.ndarray]
RB, DRB, RELIABLE = 0.45, 0.1, 0.5
"""Scores below which a stamp counts as doubted: of the two of ZTF, and of Rubin."""
FULL = 0.98
"""Share of finite pixels that a normal has."""
LENS_SIDE = 40
"""Side of lenses (binned by two) and of the galaxies that are their normals, in pixels."""
FOLDS = 5
OTHER_GALAXIES = ("galfitools/ngc4342.sky.fits", "sdss_masks/n5419f555w_pc_derot_cutout.fits")
"""Galaxies and groups seen by HST that are no lenses, for the control; those that are there count."""


def rubin() -> tuple[Stamps, dict[str, Stamps]]:
    """Normals, and anomalies by kind."""
    with fits.open(data_root() / "astro/rubin_alerts/rubin_dev.fits.gz") as hdus:
        table = hdus["META"].data
        stamps = [np.asarray(hdus[f"SCI{k:03d}"].data, np.float32) for k in range(len(table))]
    dipoles = np.asarray(table["isDipole"]).astype(bool)
    doubted = np.asarray(table["reliability"], float) < RELIABLE
    whole = np.array([np.isfinite(stamp).mean() > FULL for stamp in stamps])
    return _chosen(stamps, whole & ~dipoles & ~doubted), {
        "dipoles": _chosen(stamps, whole & dipoles),
        "doubted (reliability)": _chosen(stamps, whole & doubted & ~dipoles),
    }


def ztf() -> tuple[Stamps, dict[str, Stamps]]:
    """Normals, and anomalies by kind."""
    with fits.open(data_root() / "astro/ztf_alerts/ztf_dev.fits.gz") as hdus:
        table, stamps = hdus["META"].data, list(np.asarray(hdus["SCI"].data, np.float32))
    clean = np.asarray(table["label"]) == "clean"
    rb, drb = (np.asarray(table[name], float) for name in ("rb", "drb"))
    return _chosen(stamps, clean & (rb >= RB) & (drb >= DRB)), {
        "doubted (rb)": _chosen(stamps, clean & (rb < RB)),
        "doubted (drb)": _chosen(stamps, clean & (drb < DRB)),
        "missing blocks (trivial)": _chosen([np.nan_to_num(stamp) for stamp in stamps], ~clean),
    }


def lenses() -> tuple[Stamps, dict[str, Stamps]]:
    """Galaxies of COSMOS; lenses, and other large galaxies."""
    astro = data_root() / "astro"
    with fits.open(astro / "cosmos_hst100/real_galaxy_images_extension.fits.gz") as hdus:
        normals = [_middle(np.asarray(hdu.data, np.float32)) for hdu in hdus if min(hdu.data.shape) >= LENS_SIDE]
    found = [np.asarray(image, np.float32) for image in _lens_images(astro)]
    others = []
    for path in (astro / name for name in OTHER_GALAXIES):
        if path.exists():
            others.append(np.asarray(fits.getdata(path), np.float32))
    return normals, {
        "lenses": [_middle(_binned(image)) for image in found],
        "large galaxies (control)": [_brightest(_binned(image)) for image in others],
    }


def _lens_images(astro: Path) -> Iterator[np.ndarray]:
    import h5py

    for path in sorted((astro / "lens_slacs").glob("*image.fits*")):
        yield fits.getdata(path)
    for path in sorted((astro / "lens_dolphin").glob("image_*.h5")):
        with h5py.File(path) as file:
            yield file["image_data"][()]


def _binned(image: np.ndarray) -> np.ndarray:
    """Sums over 2 x 2 pixels."""
    even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    return even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).sum((1, 3))


def _middle(image: np.ndarray, side: int = LENS_SIDE) -> np.ndarray:
    top, left = ((length - side) // 2 for length in image.shape)
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def _brightest(image: np.ndarray, side: int = LENS_SIDE) -> np.ndarray:
    """The part around the brightest smoothed pixel."""
    from scipy import ndimage

    smooth = ndimage.uniform_filter(np.nan_to_num(image), 7)
    row, col = np.unravel_index(int(smooth.argmax()), smooth.shape)
    top, left = (
        int(np.clip(at - side // 2, 0, length - side)) for at, length in zip((row, col), image.shape, strict=True)
    )
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def _chosen(stamps: Stamps, wanted: np.ndarray) -> Stamps:
    return [stamp for stamp, keep in zip(stamps, wanted, strict=True) if keep]


SURVEYS = {"rubin": rubin, "ztf": ztf, "lenses": lenses}
"""Stamps by instrument."""


def ours(normals: Stamps, kinds: dict[str, Stamps]) -> dict[str, dict[str, np.ndarray]]:
    """Scores of the normals and of every kind, by the combination and by every view."""
    import gencosmo

    detector = gencosmo.AnomalyDetector(tile=1024, device="cpu", folds=FOLDS).fit(normals)
    scores, _, views = detector.of_normals()
    rows = {"gencosmo": {"normals": scores}} | {view: {"normals": -np.log(p)} for view, p in views.items()}
    for kind, stamps in kinds.items():
        found = detector.evaluate(stamps)
        rows["gencosmo"][kind] = np.array([one.score[0] for one in found])
        for view in views:
            rows[view][kind] = -np.log(np.array([one.views[view][0] for one in found]))
    return rows


def theirs(normals: Stamps, kinds: dict[str, Stamps]) -> dict[str, dict[str, np.ndarray]]:
    """The same of the rivals: parts of one side, each stamp in units of its own noise."""
    side = min(min(stamp.shape) for stamps in (normals, *kinds.values()) for stamp in stamps)
    tiles = {kind: np.array([_flux(_middle(s, side)) for s in stamps]) for kind, stamps in kinds.items()}
    good = np.array([_flux(_middle(stamp, side)) for stamp in normals])
    fold = np.random.default_rng(0).permutation(len(good)) % FOLDS
    rows: dict[str, dict[str, np.ndarray]] = {}
    for name, fit in RIVALS.items():
        own, found = np.empty(len(good)), {kind: [] for kind in tiles}
        for k in range(FOLDS):
            scorer = fit(good[fold != k])
            own[fold == k] = scorer(good[fold == k])
            for kind, tile in tiles.items():
                found[kind].append(scorer(tile))
        rows[name] = {"normals": own} | {kind: np.median(scores, axis=0) for kind, scores in found.items()}
    return rows


def _flux(stamp: np.ndarray) -> np.ndarray:
    good = np.isfinite(stamp)
    flux = measure_scaling(np.where(good, stamp, np.float32(0)), good).to_flux(stamp)
    return np.where(good, flux, 0.0)


def survey(name: str) -> dict[str, dict[str, object]]:
    """AUROC of every method, by kind of anomaly."""
    rng = np.random.default_rng(0)
    normals, kinds = SURVEYS[name]()
    kinds = {kind: stamps for kind, stamps in kinds.items() if stamps}
    scores = ours(normals, kinds) | theirs(normals, kinds)
    rows: dict[str, dict[str, object]] = {}
    for kind, stamps in kinds.items():
        print(f"{name}: {len(stamps)} {kind} among {len(normals)} normals", flush=True)
        rows[kind] = {"stamps": len(stamps), "normals": len(normals), "weights": weights_of("sky-small")}
        for method, values in scores.items():
            found, good = (x[np.isfinite(x)] for x in (values[kind], values["normals"]))
            low, high = interval(rng, good, found)
            rows[kind][method] = {"auroc": auroc(good, found), "interval": (low, high)}
            print(f"  {method:18s} {auroc(good, found):.2f} ({low:.2f} to {high:.2f})", flush=True)
    return rows


def main() -> None:
    """Run the surveys and write what was found."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--surveys", nargs="+", default=list(SURVEYS), choices=list(SURVEYS))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    found = {name: survey(name) for name in given.surveys}
    if given.json:
        merge(given.json, found)


if __name__ == "__main__":
    main()
