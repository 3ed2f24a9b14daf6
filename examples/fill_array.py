"""Fill an array that you have in memory, and check the stated uncertainty against the truth."""

import numpy as np

import gencosmo

rng = np.random.default_rng(1)
rows, cols = np.mgrid[:96, :96]
truth = np.full(rows.shape, 100.0)
for _ in range(25):  # stars of one width
    row, col = rng.uniform(0, 96, 2)
    truth += rng.exponential(300) * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * 1.6**2))
noise = np.sqrt(truth / 4)
frame = rng.normal(truth, noise)

mask = rng.random(frame.shape) < 0.02  # cosmic rays
mask[:, 40:42] = True  # dead columns

result = gencosmo.inpaint(np.where(mask, 0, frame), mask, ivar=noise**-2)
low, high = result.interval(0.68)
inside = (low[mask] <= frame[mask]) & (frame[mask] <= high[mask])
error = result.mean[mask] - frame[mask]
print(f"{mask.sum()} pixels filled, rms error {np.sqrt(np.mean(error**2)):.2f} counts")
print(f"the 68 % interval holds {100 * inside.mean():.0f} % of the hidden values")
assert np.array_equal(result.mean[~mask], frame[~mask].astype(np.float32))
