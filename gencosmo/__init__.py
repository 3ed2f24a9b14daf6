"""Repair, denoise and judge images with one generative prior in which every pixel has its own noise level."""
