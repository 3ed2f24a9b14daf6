"""Fill many FITS files, show progress, resume after a stop; what `gencosmo inpaint` does, from Python."""

import numpy as np
from astropy.io import fits

import gencosmo
from gencosmo.batch import Job

rng = np.random.default_rng(2)
for night in range(3):  # stand-ins for your frames, with NaN where there is nothing
    data = rng.normal(500, 8, (64, 64)).astype(np.float32)
    data[rng.random(data.shape) < 0.03] = np.nan
    fits.writeto(f"night{night}.fits", data, overwrite=True)

report = gencosmo.process_file("night0.fits", "one.fits", resume=True)
print(report.status, report.filled, "pixels")

names = [f"night{night}.fits" for night in range(3)]
for report in gencosmo.process_files(names, "filled", job=Job(seed=7), resume=True):
    print(report.path, report.status, report.filled, "pixels", [entry["code"] for entry in report.warnings])
