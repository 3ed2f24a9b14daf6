"""What does not belong here: predictions of hidden pixels, views of a tile, densities, and honest p-values."""
