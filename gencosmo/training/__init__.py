"""Training of diffusion priors: simulators, hole and level curricula, loss, trainer. Imports no file format."""
