"""A whole step of the sampler, network and ops, as one compiled graph."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gencosmo.ops.apply_kernels import apply_kernels
from gencosmo.ops.biharmonic_fill import CLIP_SIGMAS, biharmonic_fill_, biharmonic_workspace, hole_components
from gencosmo.ops.blend import blend_, blend_finish_
from gencosmo.ops.gather import gather
from gencosmo.ops.precondition import FEATURES, LOCALS, precondition
from gencosmo.ops.pyramid_fill import pyramid_fill_, pyramid_workspace
from gencosmo.ops.step import step_
from gencosmo.priors.network import DenoiserNetwork, NetworkShape
from tests.ops.cases import HALO, RAMP, SIZE, make_step, windows_of

SHAPES = ((40, 37), (24, 30))


def sampler_step(state: dict[str, Tensor], network: torch.nn.Module) -> None:
    """Bases, windows, features, network, mean and variance, blending, update: in place, in `state`."""
    fields, layout, windows = state["fields"], state["layout"], state["windows"]
    count = windows.shape[0]
    pyramid_fill_(fields, layout, state["workspace"], 0.0, 100.0)
    biharmonic_fill_(
        fields, layout, state["pixels"], state["starts"], state["planes"], state["workspace"], 4, CLIP_SIGMAS
    )
    win = torch.empty(count, 5, SIZE, SIZE)
    gather(fields, layout, windows, win)
    features = torch.empty(count, FEATURES, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    local = torch.empty(count, LOCALS, SIZE, SIZE)
    precondition(win, torch.zeros(count), 100.0, features, local)
    raw = network(features).contiguous()
    mean, var = torch.empty(count, 1, SIZE, SIZE), torch.empty(count, 1, SIZE, SIZE)
    apply_kernels(raw, win, local, mean, var)
    for name in ("mean", "var", "weight"):
        state[name].zero_()
    blend_(mean, var, windows, layout, HALO, RAMP, state["mean"], state["var"], state["weight"])
    blend_finish_(state["mean"], state["var"], state["weight"])
    step_(fields, *(state[n] for n in ("mean", "var", "sigma_obs", "clock", "previous", "layout", "seed", "coef")),
          state["index"])  # fmt: skip


def start() -> dict[str, Tensor]:
    state = dict(make_step(torch.Generator().manual_seed(3), SHAPES))
    state["index"] = torch.zeros(1, dtype=torch.int64)
    layout, n = state["layout"], state["mean"].numel()
    state["windows"], state["weight"] = windows_of(layout), torch.zeros(n)
    state["pixels"], state["starts"], state["planes"] = hole_components(state["fields"][1], layout)
    size = max(pyramid_workspace(layout), biharmonic_workspace(n, state["pixels"].numel()))
    state["workspace"] = torch.zeros(size)
    return state


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    made = DenoiserNetwork(NetworkShape(channels=(8, 8), blocks=(1, 1))).eval().requires_grad_(False)
    torch.nn.init.normal_(made.exit.weight, std=0.01)
    return made


def test_one_graph_serves_all_steps(network: torch.nn.Module) -> None:
    graphs = []

    def backend(module: torch.fx.GraphModule, inputs: list[Tensor]):
        graphs.append(module)
        from torch._dynamo.backends.debugging import aot_eager

        return aot_eager(module, inputs)

    torch._dynamo.reset()
    compiled = torch.compile(sampler_step, fullgraph=True, backend=backend)
    eager, other = start(), start()
    with torch.no_grad():
        for row in range(3):
            for state, run in ((eager, sampler_step), (other, compiled)):
                state["index"].fill_(row)
                run(state, network)
    assert len(graphs) == 1, "a step of its own needs no graph of its own"
    assert torch.equal(eager["fields"], other["fields"])
    assert torch.equal(eager["previous"], other["previous"])
    assert bool(torch.isfinite(eager["fields"][0]).all())
    begun = start()
    assert not torch.equal(eager["fields"][0], begun["fields"][0])


@pytest.mark.gpu
def test_a_captured_sampler_step(network: torch.nn.Module) -> None:
    """Eager and replayed, three rows of the table, the same state."""
    gpu = {name: value.cuda() for name, value in start().items()}
    eager = {name: value.clone() for name, value in gpu.items()}
    net = network.cuda()
    with torch.no_grad(), torch.device("cuda"):
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            sampler_step({name: value.clone() for name, value in gpu.items()}, net)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        saved = {name: value.clone() for name, value in gpu.items()}
        with torch.cuda.graph(graph):
            sampler_step(gpu, net)
        for name, value in saved.items():
            gpu[name].copy_(value)
        for row in range(3):
            gpu["index"].fill_(row)
            eager["index"].fill_(row)
            graph.replay()
            sampler_step(eager, net)
    network.cpu()
    assert torch.allclose(gpu["fields"][:2], eager["fields"][:2], rtol=1e-4, atol=1e-4)
