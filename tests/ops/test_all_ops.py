"""Laws that every op obeys: the truth, the same bytes for every schedule, torch's view of it, and clear
refusals."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from gencosmo import _core
from gencosmo.errors import UsageError
from tests.ops.cases import CASES, SHAPES, Arguments, Case, copies
from tests.ops.law import assert_law

every_op = pytest.mark.parametrize("op", CASES)
DIFFERENTIABLE = ("precondition", "apply_kernels")
INTERNAL = ("apply_kernels_backward", "convolve_backward")
"""Registered, but only called by autograd."""


def tensors(arguments: Arguments) -> list[str]:
    return [name for name, value in arguments.items() if isinstance(value, Tensor)]


every_tensor = pytest.mark.parametrize(
    ("op", "name"), [(op, name) for op, case in CASES.items() for name in tensors(case.arguments())]
)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def fingerprint(op: str) -> str:
    """Hash of everything an op writes."""
    digest = hashlib.sha256()
    for value in CASES[op].run(CASES[op].arguments()).values():
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


@every_op
@pytest.mark.parametrize("seed", [0, 1])
def test_truth(op: str, seed: int) -> None:
    case = CASES[op]
    arguments = case.arguments(seed)
    got = case.run(arguments)
    truth, plain = case.expected(arguments, torch.float64), case.expected(arguments, torch.float32)
    for name in case.writes:
        rows = range(5) if name == "fields" else [slice(None)]
        for row in rows:  # each row has its own magnitude
            assert_law(got[name][row], truth[name][row], plain[name][row], f"{op} {name} {row}")


@every_op
def test_inputs_are_not_written(op: str) -> None:
    case = CASES[op]
    arguments = case.arguments()
    before = copies(arguments)
    case.call(**arguments)
    for name in tensors(arguments):
        if name not in (*case.writes, *case.scratch):
            assert torch.equal(arguments[name].nan_to_num(), before[name].nan_to_num()), name


@every_op
@pytest.mark.parametrize("shapes", [(), ((0, 5),), ((1, 1),), ((3, 0), (2, 2))])
def test_nothing_and_one_pixel(op: str, shapes: tuple[tuple[int, int], ...]) -> None:
    case = CASES[op]
    arguments = case.arguments(0, shapes)
    got = case.run(arguments)
    truth, plain = case.expected(arguments, torch.float64), case.expected(arguments, torch.float32)
    for name in case.writes:
        assert_law(got[name], truth[name], plain[name], f"{op} {name}")


@every_op
def test_same_bytes_for_any_number_of_threads(op: str, threads: None) -> None:
    prints, before = set(), _core.tuned()
    try:
        for piece in (16384, 64, 1):  # small arrays go to one thread unless told otherwise
            _core.tune(piece, piece, 0, 256)
            for count in (1, 2, 3, 7):
                torch.set_num_threads(count)
                prints.add(fingerprint(op))
    finally:
        _core.tune(*before)
    assert len(prints) == 1


@every_op
@pytest.mark.parametrize("tier", [2, 3])
def test_same_bytes_for_every_way_of_reading_a_tensor(op: str, tier: int) -> None:
    expected = fingerprint(op)
    _core.force_exchange_tier(tier)
    try:
        assert fingerprint(op) == expected
    finally:
        _core.force_exchange_tier(1)


@pytest.mark.parametrize("isa", ["base", "avx2"])
def test_same_bytes_for_every_instruction_set(isa: str) -> None:
    if _core.isa() not in ("avx2", "avx512") or (isa == "avx2" and _core.isa() != "avx512"):
        pytest.skip(f"{_core.isa()} is the only instruction set here")
    code = (
        "from tests.ops.test_all_ops import fingerprint, CASES; from gencosmo import _core; "
        "print(_core.isa(), *[fingerprint(op) for op in CASES])"
    )
    environment = {**os.environ, "GENCOSMO_ISA": isa}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [isa, *[fingerprint(op) for op in CASES]]


@every_op
def test_opcheck(op: str) -> None:
    case = CASES[op]
    overload = getattr(torch.ops.gencosmo, case.schema).default
    torch.library.opcheck(overload, case.raw_arguments(case.arguments()))


@every_op
def test_compiled_without_a_graph_break(op: str) -> None:
    case = CASES[op]
    arguments = case.arguments()
    constants = {name: value for name, value in arguments.items() if not isinstance(value, Tensor)}

    def function(inputs: Arguments) -> list[Tensor]:
        made = {name: value.clone() for name, value in inputs.items()}
        case.call(**made, **constants)
        return [made[name] for name in case.writes]

    inputs = {name: arguments[name] for name in tensors(arguments)}
    torch._dynamo.reset()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        for got, expected in zip(compiled(inputs), function(inputs), strict=True):
            assert torch.equal(got.nan_to_num(), expected.nan_to_num())


@every_op
def test_fake_tensors_pass_and_cannot_reach_the_kernel(op: str) -> None:
    case = CASES[op]
    arguments = case.arguments()
    mode = FakeTensorMode()

    def fake(value: object) -> object:
        return mode.from_tensor(value) if isinstance(value, Tensor) else value

    with mode:
        case.call(**{name: fake(value) for name, value in arguments.items()})
    raw = [fake(value) for value in case.raw_arguments(arguments)]
    with pytest.raises((ValueError, TypeError), match=r"no memory|cannot be read"):
        getattr(_core, op.rstrip("_"))(*raw, 1)


@every_tensor
def test_wrong_dtype(op: str, name: str) -> None:
    arguments = CASES[op].arguments()
    other = {torch.float32: torch.float64, torch.float64: torch.float32}
    other |= {torch.int64: torch.int32, torch.int32: torch.int64}
    arguments[name] = arguments[name].to(other[arguments[name].dtype])
    with pytest.raises((TypeError, ValueError), match=f"gencosmo.ops.{op}: argument '{name}' expected"):
        CASES[op].call(**arguments)


@every_tensor
def test_wrong_shape(op: str, name: str) -> None:
    arguments = CASES[op].arguments()
    arguments[name] = arguments[name].unsqueeze(0).unsqueeze(0)
    with pytest.raises(ValueError, match=f"gencosmo.ops.{op}: argument '.*' expected shape"):
        CASES[op].call(**arguments)


@every_tensor
def test_not_contiguous(op: str, name: str) -> None:
    arguments = CASES[op].arguments()
    if arguments[name].numel() < 2:
        assert arguments[name].is_contiguous()  # one number always is
        return
    arguments[name] = torch.stack([arguments[name], arguments[name]], -1)[..., 0]
    with pytest.raises(ValueError, match=f"gencosmo.ops.{op}: argument '{name}' must be contiguous"):
        CASES[op].call(**arguments)


@every_tensor
def test_not_aligned(op: str, name: str) -> None:
    """Torch makes tensors of bytes that begin anywhere; vector loads of the kernels would end the process."""
    arguments = CASES[op].arguments()
    whole = arguments[name]
    odd = torch.frombuffer(bytearray(whole.nbytes + 1), dtype=whole.dtype, offset=1, count=whole.numel())
    arguments[name] = odd.view(whole.shape).copy_(whole)
    assert odd.data_ptr() % whole.itemsize != 0
    with pytest.raises(
        ValueError, match=f"gencosmo.ops.{op}: argument '{name}' must be aligned to {whole.itemsize} bytes"
    ):
        CASES[op].call(**arguments)


@every_tensor
def test_wrong_device(op: str, name: str) -> None:
    arguments = CASES[op].arguments()
    arguments[name] = arguments[name].to("meta")
    with pytest.raises(ValueError, match=f"gencosmo.ops.{op}.*one device|argument"):
        CASES[op].call(**arguments)


@every_op
def test_not_a_tensor(op: str) -> None:
    with pytest.raises(TypeError, match=r"gencosmo.ops.*argument '.*' (expected a torch tensor|cannot be read)"):
        getattr(_core, op.rstrip("_"))(*[3 if isinstance(v, Tensor) else v for v in _raw(op)], 1)


def _raw(op: str) -> tuple[object, ...]:
    return CASES[op].raw_arguments(CASES[op].arguments())


def gradient(case: Case, function: Callable[..., None], name: str, dtype: torch.dtype) -> Tensor:
    """Of the sum of what the op writes, by one argument."""
    made = {k: v.to(dtype) if isinstance(v, Tensor) else v for k, v in case.arguments().items()}
    leaf = made[name] = made[name].detach().requires_grad_()
    function(**made)
    total = torch.stack([made[out].nan_to_num().sum() for out in case.writes]).sum()
    return torch.autograd.grad(total, leaf)[0].nan_to_num()


@every_tensor
def test_gradients_are_refused_or_kept(op: str, name: str) -> None:
    case = CASES[op]
    arguments = case.arguments()
    if not arguments[name].is_floating_point() or name in case.scratch or op in INTERNAL:
        return
    if op in DIFFERENTIABLE and name in case.writes:
        return
    arguments[name] = arguments[name].requires_grad_()
    with torch.no_grad():
        case.call(**copies(arguments))
    if op in DIFFERENTIABLE:
        rounded = {torch.float32: case.call, torch.float64: case.reference}
        got, truth = (gradient(case, function, name, dtype) for dtype, function in rounded.items())
        assert_law(got, truth, gradient(case, case.reference, name, torch.float32), name)
    else:
        with pytest.raises(UsageError, match=f"{op} is not differentiable"):
            case.call(**arguments)


@every_op
def test_lazy_negative_views_are_resolved(op: str) -> None:
    case = CASES[op]
    arguments = case.arguments()
    inputs = [
        n for n in tensors(arguments) if arguments[n].is_floating_point() and n not in (*case.writes, *case.scratch)
    ]
    if not inputs:
        return
    lazy = copies(arguments)
    lazy[inputs[0]] = torch._neg_view(lazy[inputs[0]])
    plain = copies(arguments)
    plain[inputs[0]] = -plain[inputs[0]]
    for name, value in case.run(plain).items():
        assert torch.equal(case.run(lazy)[name].nan_to_num(), value.nan_to_num()), name


@pytest.mark.parametrize("op", ["normal_", "step_", "gather", "pyramid_fill_"])
@pytest.mark.parametrize("row", [[0, 1 << 40, 1 << 40, 0, 0, 0], [0, -1, 4, 0, 0, 0], [8, 33, 1 << 20, 0, 0, 0]])
def test_layout_outside_the_canvas(op: str, row: list[int]) -> None:
    arguments = CASES[op].arguments()
    arguments["layout"] = arguments["layout"].clone()
    arguments["layout"][2] = torch.tensor(row)
    with pytest.raises(ValueError, match=f"gencosmo.ops.{op}: argument 'layout' row 2 reaches outside"):
        CASES[op].call(**arguments)


def test_every_registered_op_has_a_case() -> None:
    registered = {
        name.removeprefix("gencosmo::") for name in torch._C._dispatch_get_all_op_names() if "gencosmo::" in name
    }
    assert registered == {case.schema for case in CASES.values()}
    assert len(SHAPES) == 5
