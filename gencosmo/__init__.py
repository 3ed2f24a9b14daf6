"""Repair, denoise and judge images with one generative prior in which every pixel has its own noise level.

Importing this loads neither torch nor astropy nor NumPy: names below are found when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gencosmo.batch import process_file, process_files
    from gencosmo.errors import GencosmoError, GencosmoWarning
    from gencosmo.image import Image, as_image
    from gencosmo.io import read, write
    from gencosmo.io.catalog import catalog
    from gencosmo.photon import estimate_noise, with_illumination, with_noise
    from gencosmo.priors import list_priors, load_prior
    from gencosmo.result import Result
    from gencosmo.tasks.anomaly import score
    from gencosmo.tasks.detector import AnomalyDetector
    from gencosmo.tasks.inpaint import denoise, inpaint
    from gencosmo.tasks.likelihood import log_prob, pseudo_log_prob
    from gencosmo.tasks.super_resolve import deconvolve, super_resolve
    from gencosmo.tasks.validate import validate

__version__ = "0.1.0"

_HOMES = {
    "AnomalyDetector": "gencosmo.tasks.detector",
    "GencosmoError": "gencosmo.errors",
    "GencosmoWarning": "gencosmo.errors",
    "Image": "gencosmo.image",
    "Result": "gencosmo.result",
    "as_image": "gencosmo.image",
    "catalog": "gencosmo.io.catalog",
    "deconvolve": "gencosmo.tasks.super_resolve",
    "denoise": "gencosmo.tasks.inpaint",
    "estimate_noise": "gencosmo.photon",
    "inpaint": "gencosmo.tasks.inpaint",
    "list_priors": "gencosmo.priors",
    "load_prior": "gencosmo.priors",
    "log_prob": "gencosmo.tasks.likelihood",
    "process_file": "gencosmo.batch",
    "process_files": "gencosmo.batch",
    "pseudo_log_prob": "gencosmo.tasks.likelihood",
    "read": "gencosmo.io",
    "score": "gencosmo.tasks.anomaly",
    "super_resolve": "gencosmo.tasks.super_resolve",
    "validate": "gencosmo.tasks.validate",
    "with_illumination": "gencosmo.photon",
    "with_noise": "gencosmo.photon",
    "write": "gencosmo.io",
}

__all__ = [
    "AnomalyDetector", "GencosmoError", "GencosmoWarning", "Image", "Result", "as_image", "catalog", "deconvolve",
    "denoise", "estimate_noise", "inpaint", "list_priors", "load_prior", "log_prob", "process_file", "process_files",
    "pseudo_log_prob", "read", "score", "super_resolve", "validate", "with_illumination", "with_noise", "write",
]  # fmt: skip


def _read_path(path: str) -> Any:
    """Reader for tasks that are given a path; the file formats are loaded when one comes."""
    return importlib.import_module("gencosmo.io").read(path)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'gencosmo' has no attribute {name!r}")
    if home != "gencosmo.errors":
        importlib.import_module("gencosmo.image").register_reader(_read_path)
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
