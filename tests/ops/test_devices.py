"""Devices that are not there, offsets beyond 2^31, and what only a GPU can show (marked `gpu`)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gencosmo import _core
from gencosmo.ops.gather import gather
from gencosmo.ops.hutchinson import CHUNKS, hutchinson_, probe_
from gencosmo.ops.normal import normal_
from gencosmo.ops.step import step_
from tests.ops.cases import CASES, Arguments, copies, make_step
from tests.ops.law import assert_law
from tests.ops.test_all_ops import every_op, fingerprint
from tests.ops.test_normal import GOLDEN as NORMAL_GOLDEN
from tests.ops.test_step import GOLDEN as STEP_GOLDEN
from tests.ops.test_step import exact_arguments


class Elsewhere:
    """A tensor that says it lives on a GPU, for machines that have none."""

    def __init__(self, tensor: Tensor) -> None:
        self.shape, self.dtype, self._tensor = tuple(tensor.shape), tensor.dtype, tensor
        self.device = SimpleNamespace(type="cuda", index=0)

    def stride(self) -> tuple[int, ...]:
        return self._tensor.stride()

    def data_ptr(self) -> int:
        return self._tensor.data_ptr()


def elsewhere(op: str) -> list[Any]:
    case = CASES[op]
    return [Elsewhere(v) if isinstance(v, Tensor) else v for v in case.raw_arguments(case.arguments())]


@every_op
def test_cuda_tensor_without_cuda_code_or_without_a_driver(op: str, monkeypatch) -> None:
    if getattr(_core, "emulated", False):
        pytest.skip("this build emulates CUDA on the host")
    if _core.has_cuda and torch.cuda.is_available():
        pytest.skip("a GPU is here")
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=0))
    said = "no usable NVIDIA driver" if _core.has_cuda else "this build has CPU code only; reinstall"
    said = "must be on the CPU" if CASES[op].host_only else said
    with pytest.raises((RuntimeError, ValueError), match=f"gencosmo.ops.{op}: .*{said}"):
        getattr(_core, op.rstrip("_"))(*elsewhere(op), 1)


@every_op
def test_mixed_devices_reach_no_kernel(op: str) -> None:
    arguments = elsewhere(op)
    tensors = [k for k, value in enumerate(arguments) if isinstance(value, Elsewhere)]
    for k in tensors:
        mixed = list(arguments)
        mixed[k] = mixed[k]._tensor
        with pytest.raises(ValueError, match=r"gencosmo\.ops\..*argument '.*' expected device"):
            getattr(_core, op.rstrip("_"))(*mixed, 1)


FAR = (1 << 31) + 64


def sparse(folder: Path, name: str, *shape: int) -> Tensor:
    """Zeros that take no memory until they are written."""
    return torch.from_numpy(np.memmap(folder / name, np.float32, "w+", shape=shape))


def test_offsets_beyond_two_to_the_31(tmp_path: Path) -> None:
    """A plane that begins there gets what it gets at the beginning of a small canvas."""
    size = FAR + 4096
    near = make_step(torch.Generator().manual_seed(1), ((40, 37),))
    n = near["mean"].numel()
    far: Arguments = {**near, "layout": near["layout"].clone()}
    far["layout"][:, 0] = FAR
    far["fields"] = sparse(tmp_path, "fields", 5, size)
    far["fields"][:, FAR : FAR + n] = near["fields"]
    for name in ("mean", "var", "sigma_obs", "clock", "previous"):
        far[name] = sparse(tmp_path, name, size)
        far[name][FAR : FAR + n] = near[name]
    step_(**near)
    step_(**far)
    inside = slice(FAR, FAR + 40 * 37)
    assert torch.equal(far["fields"][:, inside], near["fields"][:, : 40 * 37])

    windows = torch.tensor([[0, -5, 20], [0, 30, 3]])
    out = [torch.zeros(2, 5, 24, 24) for _ in range(2)]
    for made, target in zip((near, far), out, strict=True):
        gather(made["fields"], made["layout"], windows, target)
    assert torch.equal(*out)

    step, stream = torch.tensor([3]), torch.tensor([1])
    noise, flat = torch.zeros(n), far["previous"]
    normal_(noise, near["layout"], near["seed"], step, stream)
    normal_(flat, far["layout"], far["seed"], step, stream)
    assert torch.equal(flat[inside], noise[: 40 * 37])
    traces = [torch.zeros(1, dtype=torch.float64) for _ in range(2)]
    workspace = torch.zeros(1, CHUNKS, dtype=torch.float64)
    hutchinson_(traces[0], noise, near["layout"], near["seed"], step, workspace)
    hutchinson_(traces[1], flat, far["layout"], far["seed"], step, workspace)
    assert torch.equal(*traces) and float(traces[0]) != 0
    probe_(noise, near["layout"], near["seed"], step)
    probe_(flat, far["layout"], far["seed"], step)
    assert torch.equal(flat[inside], noise[: 40 * 37])


# --- on a GPU ------------------------------------------------------------------------------------------------------


def on_gpu(arguments: Arguments) -> Arguments:
    return {k: v.cuda() if isinstance(v, Tensor) else v for k, v in copies(arguments).items()}


@pytest.mark.gpu
@pytest.mark.parametrize("op", [op for op, case in CASES.items() if not case.host_only])
def test_truth_on_a_gpu(op: str) -> None:
    case = CASES[op]
    arguments = case.arguments()
    got = case.run(on_gpu(arguments))
    truth, plain = case.expected(arguments, torch.float64), case.expected(arguments, torch.float32)
    for name in case.writes:
        rows = range(5) if name == "fields" else [slice(None)]
        for row in rows:
            assert_law(got[name].cpu()[row], truth[name][row], plain[name][row], f"{op} {name} {row}")


@pytest.mark.gpu
@pytest.mark.parametrize("op", ["normal_", "step_", "probe_", "hutchinson_", "predictive_score", "bin", "fft_point"])
def test_same_bytes_as_the_cpu(op: str) -> None:
    case = CASES[op]
    here, there = case.run(case.arguments()), case.run(on_gpu(case.arguments()))
    for name, value in here.items():
        assert torch.equal(there[name].cpu().nan_to_num(), value.nan_to_num()), name
    assert fingerprint(op)


@pytest.mark.gpu
def test_golden_hashes_on_a_gpu() -> None:
    import hashlib

    made = on_gpu(exact_arguments())
    step_(**made)
    assert hashlib.sha256(made["fields"].cpu().numpy().tobytes()).hexdigest() == STEP_GOLDEN
    out = torch.zeros(64 * 1024, device="cuda")
    layout = torch.tensor([[0, 64, 1024, 0, 0, 0]], device="cuda")
    normal_(out, layout, torch.tensor([1234567]).cuda(), torch.tensor(7).cuda(), torch.tensor(1).cuda())
    assert hashlib.sha256(out.cpu().numpy().tobytes()).hexdigest() == NORMAL_GOLDEN


@pytest.mark.gpu
def test_work_goes_to_the_current_stream() -> None:
    """Behind a long wait on a side stream, a result cannot be there yet."""
    made = on_gpu(CASES["normal_"].arguments())
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        torch.cuda._sleep(200_000_000)
        normal_(**made)
        done = torch.cuda.Event()
        done.record(side)
    assert not done.query()
    assert float(made["out"].abs().max()) == 0, "the default stream ran the op"
    side.synchronize()
    assert torch.equal(made["out"].cpu(), CASES["normal_"].run(CASES["normal_"].arguments())["out"])


@pytest.mark.gpu
def test_a_captured_step_walks_the_table() -> None:
    """One graph serves all steps: the row is read from the device."""
    made, eager = on_gpu(exact_arguments()), on_gpu(exact_arguments())
    made["index"], eager["index"] = torch.zeros(1, dtype=torch.int64).cuda(), torch.zeros(1, dtype=torch.int64).cuda()
    warm = on_gpu(exact_arguments())
    step_(**warm)
    graph = torch.cuda.CUDAGraph()
    saved = {k: v.clone() for k, v in made.items()}
    with torch.cuda.graph(graph):
        step_(**made)
    for k in ("fields", "previous"):
        made[k].copy_(saved[k])
    for row in (0, 1):
        made["index"].fill_(row)
        graph.replay()
        eager["index"].fill_(row)
        step_(**eager)
    assert torch.equal(made["fields"], eager["fields"])
