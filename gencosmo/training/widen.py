"""A wider or deeper network that begins by answering exactly as a smaller trained one.

After Chen, Goodfellow and Shlens (2016), with new channels that nobody reads yet in place of copied ones: what comes
into them is drawn as in a new network, what goes out of them starts at zero, and a new residual block is the identity.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gencosmo.errors import UsageError
from gencosmo.priors.network import DenoiserNetwork, NetworkShape

__all__ = ["widened"]


def widened(network: DenoiserNetwork, shape: NetworkShape) -> DenoiserNetwork:
    """A network of another shape that computes what `network` does.

    Parameters
    ----------
    network : DenoiserNetwork
        The trained one; it is not changed.
    shape : NetworkShape
        As many levels as the network's own, each at least as wide and with at least as many blocks.

    Returns
    -------
    DenoiserNetwork
        On the device of `network`; new weights are drawn with torch's global generator.

    Raises
    ------
    UsageError
        If `shape` has other levels, or is smaller somewhere.

    References
    ----------
    Chen, Goodfellow and Shlens 2016, "Net2Net: accelerating learning via knowledge transfer", section 2.
    """
    own = network.shape
    for word, wanted, have in (("channels", shape.channels, own.channels), ("blocks", shape.blocks, own.blocks)):
        if len(wanted) != len(have) or any(w < h for w, h in zip(wanted, have, strict=True)):
            raise UsageError(
                f"{word} are {list(wanted)}, expected at least {list(have)} at as many levels",
                hint="a network can grow from a trained one but not shrink",
            )
    large = DenoiserNetwork(shape).to(next(network.parameters()).device)
    state = large.state_dict()
    for name, trained in network.state_dict().items():
        state[name] = _grown(trained, state[name], transposed=name.startswith("grow"))
    large.load_state_dict(state)
    return large


def _grown(trained: Tensor, fresh: Tensor, transposed: bool) -> Tensor:
    """`fresh` with `trained` in its first corner: (out, in, h, w), (out,), or transposed (in, out, h, w)."""
    grown = fresh.clone()
    if trained.dim() > 1:
        # a trained output reads no new input
        out, into = (1, 0) if transposed else (0, 1)
        rows = grown.narrow(out, 0, trained.shape[out])
        rows.narrow(into, trained.shape[into], grown.shape[into] - trained.shape[into]).zero_()
    grown[tuple(slice(0, n) for n in trained.shape)] = trained
    return grown.contiguous(memory_format=torch.preserve_format)
