"""Real anomalies in alert stamps, by instrument: AUROC with bootstrap intervals.

``GENCOSMO_TEST_DATA=... python -m benchmarks.anomaly.real --surveys rubin ztf``

Normals are the stamps that nothing speaks against, each judged by densities that have not seen it. Rubin: stamps of
the collection of faint trails, and dipoles. ZTF: stamps that its real-bogus score doubts, and, apart from all others
because they are trivial, stamps with missing blocks. Both groups are among those that trained the prior `sky`: the
pixels are not new to it, the question is.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits

from benchmarks.anomaly.compare import auroc, interval
from benchmarks.quality.frames import data_root

Stamps = list[np.ndarray]
DOUBTED = 0.45
"""Real-bogus score below which a ZTF stamp counts as doubted."""
FULL = 0.98
"""Share of finite pixels that a normal has."""


def rubin() -> tuple[Stamps, dict[str, Stamps]]:
    """Normals, and anomalies by kind."""
    with fits.open(data_root() / "astro/rubin_alerts/rubin_dev.fits.gz") as hdus:
        table = hdus["META"].data
        stamps = [np.asarray(hdus[f"SCI{k:03d}"].data, np.float32) for k in range(len(table))]
    trails, dipoles = (np.asarray(table[name]).astype(bool) for name in ("from_faint_trails", "isDipole"))
    whole = np.array([np.isfinite(stamp).mean() > FULL for stamp in stamps])
    return _chosen(stamps, whole & ~trails & ~dipoles), {
        "faint trails": _chosen(stamps, whole & trails),
        "dipoles": _chosen(stamps, whole & dipoles & ~trails),
    }


def ztf() -> tuple[Stamps, dict[str, Stamps]]:
    """Normals, and anomalies by kind."""
    with fits.open(data_root() / "astro/ztf_alerts/ztf_dev.fits.gz") as hdus:
        table, stamps = hdus["META"].data, list(np.asarray(hdus["SCI"].data, np.float32))
    clean, doubted = np.asarray(table["label"]) == "clean", np.asarray(table["rb"], float) < DOUBTED
    return _chosen(stamps, clean & ~doubted), {
        "doubted (rb)": _chosen(stamps, clean & doubted),
        "missing blocks (trivial)": _chosen([np.nan_to_num(stamp) for stamp in stamps], ~clean),
    }


def _chosen(stamps: Stamps, wanted: np.ndarray) -> Stamps:
    return [stamp for stamp, keep in zip(stamps, wanted, strict=True) if keep]


SURVEYS = {"rubin": rubin, "ztf": ztf}
"""Stamps by instrument."""


def survey(name: str) -> dict[str, dict[str, object]]:
    """AUROC of the combination and of every view, by kind of anomaly."""
    import gencosmo

    rng = np.random.default_rng(0)
    normals, kinds = SURVEYS[name]()
    detector = gencosmo.AnomalyDetector(tile=1024, device="cpu").fit(normals)
    scores, _, views = detector.of_normals()
    null = {"gencosmo": scores} | {view: -np.log(p) for view, p in views.items()}
    rows: dict[str, dict[str, object]] = {}
    for kind, stamps in kinds.items():
        if len(stamps) < 3:
            print(f"{name}: {len(stamps)} of {kind}, too few", flush=True)
            continue
        found = detector.evaluate(stamps)
        seen = {"gencosmo": [one.score[0] for one in found]}
        seen |= {view: [-np.log(one.views[view][0]) for one in found] for view in found[0].views}
        rows[kind] = {"stamps": len(stamps), "normals": len(normals)}
        for method, values in seen.items():
            judged, good = np.array(values), null[method][np.isfinite(null[method])]
            judged = judged[np.isfinite(judged)]
            low, high = interval(rng, good, judged)
            rows[kind][method] = {"auroc": auroc(good, judged), "interval": (low, high)}
            print(f"{name:6s} {kind:26s} {method:16s} {auroc(good, judged):.2f} ({low:.2f} to {high:.2f})", flush=True)
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
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
