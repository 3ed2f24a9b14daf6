"""From a checkpoint to a prior: weights, card with test vector, calibration, as three files of one name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gencosmo.errors import InputError
from gencosmo.priors.cards import Card, file_sha256
from gencosmo.priors.diffusion import DiffusionPrior
from gencosmo.priors.looks import join_domains, measure_domain
from gencosmo.priors.network import DenoiserNetwork, NetworkShape
from gencosmo.priors.vector import make_vector
from gencosmo.training.calibrate import calibrate
from gencosmo.training.data import hold_out
from gencosmo.training.pack import Frame
from gencosmo.training.trainer import Settings

__all__ = ["export_prior", "read_checkpoint", "recalibrate", "write_prior"]

WINDOWS: dict[str, Any] = {"core": 256, "halo": 32, "ramp": 8}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A trainer's checkpoint.

    Raises
    ------
    InputError
        When it is not one.
    """
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    missing = {"average", "shape", "settings", "step", "elapsed"} - set(state)
    if missing:
        raise InputError(f"{path} is not a checkpoint: {sorted(missing)} missing", code="bad_checkpoint")
    return state


def network_of(state: dict[str, Any]) -> DenoiserNetwork:
    """The averaged network of a checkpoint."""
    network = DenoiserNetwork(NetworkShape(**{key: tuple(value) for key, value in state["shape"].items()}))
    network.load_state_dict(state["average"])
    return network.eval()


def export_prior(checkpoint: Path, facts: Path, frames: Sequence[Frame], folder: Path, batches: int = 300) -> Path:
    """Write ``NAME.safetensors``, ``NAME.json`` and ``NAME.calibration.json``; returns the card's path.

    Parameters
    ----------
    checkpoint : Path
        Of the trainer.
    facts : Path
        TOML with what only a person knows: name, description, licence, pixel_scale, training groups.
    frames : sequence of Frame
        The packed frames of the training; the held-out ones calibrate.
    folder : Path
        Where the files go.
    batches : int
        Validation batches for the calibration.
    """
    known = tomllib.loads(facts.read_text())
    return write_prior(read_checkpoint(checkpoint), known, *hold_out(frames), folder, batches)


def write_prior(
    state: dict[str, Any],
    known: Mapping[str, Any],
    train: Sequence[Frame],
    held: Sequence[Frame],
    folder: Path,
    batches: int,
    base: DiffusionPrior | None = None,
) -> Path:
    """The three files of a prior from a checkpoint's `state` and what is `known` about it; returns the card's path.

    Parameters
    ----------
    state : dict
        Of :func:`read_checkpoint`.
    known : mapping
        name, description, licence, pixel_scale, sigma_max, correlation_length, largest_hole, training.
    train, held : sequence of Frame
        What was trained on says what the prior knows; what was held out calibrates.
    folder : Path
        Where the files go.
    batches : int
        Validation batches for the calibration.
    base : DiffusionPrior, optional
        The prior that the training began with: its windows are kept, and what it knows counts as known.
    """
    from safetensors.torch import save

    network, settings = network_of(state), Settings(**{"surface": "biharmonic", **state["settings"]})
    folder.mkdir(parents=True, exist_ok=True)
    card_file = folder / f"{known['name']}.json"
    weights = card_file.with_suffix(".safetensors")
    # not save_file, whose files only their owner can read
    weights.write_bytes(save({key: value.half().contiguous() for key, value in network.state_dict().items()}))
    # what users load is the rounded network: calibrate and test that one
    network.load_state_dict({key: value.half().float() for key, value in network.state_dict().items()})
    training = {
        **known.get("training", {}),
        "tiles": state["step"] * settings.batch,
        "tile": settings.tile,
        "minutes": round(state["elapsed"] / 60, 1),
        "seed": settings.seed,
        "simulator": settings.simulator,
    }
    domain = measure_domain(frame.flux for frame in train)
    card = Card(
        name=known["name"],
        description=known["description"],
        licence=known["licence"],
        weights_sha256=file_sha256(weights),
        shape=network.shape.to_dict(),
        prior_var=settings.prior_var,
        sigma_max=known["sigma_max"],
        correlation_length=known["correlation_length"],
        pixel_scale=tuple(known["pixel_scale"]),
        largest_hole=known["largest_hole"],
        training=training,
        surface=settings.surface,
        domain=domain if base is None else join_domains(domain, base.card.domain),
        **(WINDOWS if base is None else {key: getattr(base.card, key) for key in WINDOWS}),
    )
    # the scene world is calibrated on simulated tiles, so some there must be
    share = min(settings.real_share, Settings.real_share)
    wide = replace(settings, batch=max(settings.batch, Settings.batch), real_share=share)
    calibration = calibrate(network, held, wide, card.weights_sha256, batches)
    calibration.write(card_file.with_name(f"{card.name}.calibration.json"))
    card = replace(card, test_vector=make_vector(DiffusionPrior(network, card, calibration)))
    card.write(card_file)
    return card_file


def recalibrate(card_file: Path, frames: Sequence[Frame], batches: int = 300) -> None:
    """Measure the calibration, the accepted looks and the test vector of an exported prior anew.

    The file is the old one to the byte when nothing changed.
    """
    prior = DiffusionPrior.load(card_file)
    training = prior.card.training
    settings = Settings(
        prior_var=prior.card.prior_var, surface=prior.card.surface, bfloat16=False,
        seed=int(training.get("seed", 0)), simulator=training.get("simulator", "sky"),
    )  # fmt: skip
    train, held = hold_out(frames)
    measured = calibrate(prior.network, held, settings, prior.card.weights_sha256, batches)
    measured.write(card_file.with_name(f"{prior.card.name}.calibration.json"))
    renewed = DiffusionPrior(prior.network, prior.card, measured)
    domain = measure_domain(frame.flux for frame in train)
    if "base" in training:
        domain = join_domains(domain, prior.card.domain)
    replace(prior.card, test_vector=make_vector(renewed), domain=domain).write(card_file)
