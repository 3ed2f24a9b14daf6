"""Compare posterior samples with a posterior that is known exactly: a Gaussian field with a hole."""

import torch

from gencosmo.priors.gaussian import GaussianPrior
from gencosmo.sampling import sample
from gencosmo.windows import Canvas

prior = GaussianPrior.exponential(variance=1.0, length=3.0)
blank = Canvas.from_planes([torch.zeros(16, 16)], [torch.full((16, 16), torch.inf)], seeds=[4])
prior.generate_(blank, "scene")
truth = blank.plane("z", 0)

sigma = torch.full((16, 16), 0.3)  # noise of the good pixels
sigma[4:11, 5:12] = torch.inf  # a hole
noise = 0.3 * torch.randn(16, 16, generator=torch.Generator().manual_seed(1))
canvas = Canvas.from_planes([truth + noise], [sigma], seeds=[5])

found = sample(prior, canvas, samples=256, world="scene", evaluations=16)
mean, std = (canvas.view(flat, 0) for flat in (found.mean, found.std))

plan = prior.plan(canvas, canvas.sigma_obs > 0)
prior.denoise_(canvas, plan, "scene")  # the exact mean and variance
exact, spread = canvas.plane("mean", 0), canvas.plane("var", 0).sqrt()
error = float((((mean - exact) / spread) ** 2).mean().sqrt())
print(f"mean of 256 samples: off by {error:.3f} posterior standard deviations (expected {256**-0.5:.3f})")
print(f"spread: {float((std / spread).mean()):.3f} of the exact one")
assert error < 0.12
