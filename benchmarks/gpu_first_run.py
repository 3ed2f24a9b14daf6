"""What a new GPU must show, in one command: ``python -m benchmarks.gpu_first_run [--out FILE]``.

Builds nothing and needs a CUDA build of gencosmo (``gencosmo doctor`` says). Checks the golden hashes, every op against
the CPU, each op's share of the copy bandwidth at 16 Mpixel (cold second-level cache, events, median), a sampler step
captured in a CUDA graph, and what that step costs beside its network; writes ``benchmarks/results/<device>.json``.
``--device cpu --side 256`` walks through the same code on a machine without a GPU; what needs one is counted as
skipped. Exit code 1 when a check failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import statistics
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.first_run_ops import Timed, network_step, timed_ops
from gencosmo import _core
from gencosmo.ops._tuning import cpu_name
from gencosmo.ops.normal import normal_
from gencosmo.ops.step import step_
from tests.ops.cases import CASES, Arguments, copies
from tests.ops.law import assert_law
from tests.ops.test_normal import GOLDEN as NORMAL_GOLDEN
from tests.ops.test_step import GOLDEN as STEP_GOLDEN
from tests.ops.test_step import exact_arguments

BAR_BANDWIDTH, BAR_OVERHEAD = 0.85, 0.03
COPY = 1 << 28
"""Bytes of the copy's source: beyond every cache."""
COLD = 1 << 28
"""Bytes written between two timings, so that no input is left in the second-level cache (50 MB on an H200)."""
EQUAL = ("normal_", "step_", "probe_", "hutchinson_", "predictive_score", "bin", "bin_adjoint", "fft_point")
"""Ops whose bytes are the same on every device."""


class Skipped(Exception):  # noqa: N818 -- not an error
    """A check that this device cannot run."""


def at(device: str, arguments: Arguments) -> Arguments:
    return {k: v.to(device) if isinstance(v, Tensor) else v for k, v in copies(arguments).items()}


def digest(value: Tensor) -> str:
    return hashlib.sha256(value.cpu().contiguous().numpy().tobytes()).hexdigest()


def check_hashes(device: str) -> str:
    """Noise and steps are the bytes that the tests hold."""
    made = at(device, exact_arguments())
    step_(**made)
    assert digest(made["fields"]) == STEP_GOLDEN, "step_"
    out = torch.zeros(64 * 1024, device=device)
    layout = torch.tensor([[0, 64, 1024, 0, 0, 0]], device=device)
    seed, step, stream = (torch.tensor(n, device=device) for n in ([1234567], 7, 1))
    normal_(out, layout, seed, step, stream)
    assert digest(out) == NORMAL_GOLDEN, "normal_"
    return "normal_ and step_ as on every CPU"


def check_ops(device: str) -> str:
    """Every op obeys its law here; those that promise it return the CPU's bytes."""
    cases = {op: case for op, case in CASES.items() if not case.host_only}
    for op, case in cases.items():
        arguments = case.arguments()
        got, here = case.run(at(device, arguments)), case.run(arguments)
        with torch.enable_grad():  # one reference is a gradient
            truth, plain = case.expected(arguments, torch.float64), case.expected(arguments, torch.float32)
        for name in case.writes:
            value = got[name].cpu()
            for row in range(5) if name == "fields" else [slice(None)]:
                assert_law(value[row], truth[name][row], plain[name][row], f"{op} {name}")
            assert op not in EQUAL or digest(value) == digest(here[name]), f"{op} {name}: other bytes than the CPU's"
    return f"{len(cases)} ops, {len(EQUAL)} of them to the byte"


def seconds(call: Callable[[], Any], device: str, rounds: int = 15) -> float:
    """Median over rounds with cold caches; events on a GPU, this thread's processor time on a CPU."""
    if device == "cpu":
        call()
        times = []
        for _ in range(rounds):
            start = time.thread_time()
            call()
            times.append(time.thread_time() - start)
        return statistics.median(times)
    cold = torch.empty(COLD, dtype=torch.uint8, device=device)
    for _ in range(3):
        call()
    pairs = []
    for _ in range(rounds):
        cold.zero_()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        pairs.append((begin, end))
    torch.cuda.synchronize()
    return statistics.median(begin.elapsed_time(end) for begin, end in pairs) / 1e3


def copy_rate(device: str) -> float:
    """Bytes per second, reads and writes together."""
    source = torch.zeros(COPY // 4, device=device)
    target = torch.empty_like(source)
    return 2 * COPY / seconds(lambda: target.copy_(source), device)


def bandwidth_row(op: Timed, device: str, rate: float) -> dict[str, Any]:
    took = seconds(op.call, device)
    share = op.pixels * op.bytes_per_pixel / took / rate
    return {
        "name": op.name,
        "pixels": op.pixels,
        "bytes_per_pixel": op.bytes_per_pixel,
        "share_of_copy": round(share, 3),
        "ns_per_pixel": round(1e9 * took / op.pixels, 4),
        "meets_bar": share >= BAR_BANDWIDTH,
    }


def check_capture(device: str) -> str:
    """A captured step walks the table of steps as the same step does when it is called."""
    if device == "cpu":
        raise Skipped("a CPU has no graphs")
    eager, walked = network_step(device), network_step(device)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):  # libraries choose and allocate before the capture
        network_step(device).call()
    torch.cuda.synchronize()
    saved = [t.clone() for t in walked.state]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        walked.call()
    for now, before in zip(walked.state, saved, strict=True):
        now.copy_(before)
    for row in range(3):
        eager.index.fill_(row)
        eager.call()
        walked.index.fill_(row)
        graph.replay()
    torch.cuda.synchronize()
    same = all(torch.equal(a, b) for a, b in zip(eager.state, walked.state, strict=True))
    worst = max(float((a - b).abs().nan_to_num().max()) for a, b in zip(eager.state, walked.state, strict=True))
    assert worst < 1e-3, f"the captured step differs by {worst:.1e}"
    return "three steps replayed, " + ("equal to the byte" if same else f"largest difference {worst:.1e}")


def check_overhead(device: str) -> dict[str, float]:
    """Seconds of a whole step and of its network alone; both captured on a GPU."""
    step = network_step(device)
    calls: dict[str, Callable[[], Any]] = {"step": step.call, "network": step.network}
    if device != "cpu":
        for name, call in list(calls.items()):
            with torch.cuda.stream(torch.cuda.Stream()):
                call()
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                call()
            calls[name] = graph.replay
    took = {name: seconds(call, device, 7) for name, call in calls.items()}
    return {**{f"{k}_seconds": round(v, 6) for k, v in took.items()},
            "overhead_over_network": round(took["step"] / took["network"] - 1, 4), "bar": BAR_OVERHEAD}  # fmt: skip


def machine(device: str) -> dict[str, Any]:
    facts = {"cpu": cpu_name(), "isa": _core.isa(), "torch": torch.__version__, "cuda_build": _core.has_cuda,
             "exchange_api": hasattr(Tensor, "__dlpack_c_exchange_api__"), "tuning": list(_core.tuned()),
             "date": time.strftime("%Y-%m-%d"), "device": cpu_name()}  # fmt: skip
    if device != "cpu":
        told = torch.cuda.get_device_properties(device)
        facts |= {"device": told.name, "cuda": torch.version.cuda, "gpu_memory": told.total_memory,
                  "multiprocessors": told.multi_processor_count,
                  "capability": f"{told.major}.{told.minor}"}  # fmt: skip
    return facts


def run(device: str, side: int) -> dict[str, Any]:
    """All checks; a failed one does not stop the next."""
    report: dict[str, Any] = {"machine": machine(device), "checks": {}, "rows": []}

    def note(name: str, check: Callable[[], Any]) -> None:
        try:
            report["checks"][name] = {"status": "ok", "detail": check()}
        except Skipped as why:
            report["checks"][name] = {"status": "skipped", "detail": str(why)}
        except Exception as error:  # the next check may still say something
            traceback.print_exc()
            report["checks"][name] = {"status": "failed", "detail": f"{type(error).__name__}: {error}"[:500]}
        print(f"{name}: {report['checks'][name]['status']}, {report['checks'][name]['detail']}", flush=True)

    note("hashes", lambda: check_hashes(device))
    note("ops", lambda: check_ops(device))
    rate = copy_rate(device)
    report["copy_bytes_per_second"] = round(rate)
    for make in timed_ops(device, side):
        name = make.__name__.removeprefix("make_")

        def timed(make: Callable[[], Timed] = make) -> str:
            row = bandwidth_row(make(), device, rate)
            report["rows"].append(row)
            return f"{100 * row['share_of_copy']:.0f} % of the copy bandwidth"

        note(f"bandwidth of {name}", timed)
    note("capture", lambda: check_capture(device))
    note("overhead", lambda: check_overhead(device))
    report["counts"] = {
        s: sum(c["status"] == s for c in report["checks"].values()) for s in ("ok", "skipped", "failed")
    }
    return report


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--side", type=int, default=4096, help="pixels along the side of the frames that are timed")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/<device>.json; nothing for a CPU")
    given = parser.parse_args()
    if given.device == "cuda" and not (_core.has_cuda and torch.cuda.is_available()):
        parser.error(f"no GPU: gencosmo built with CUDA is {_core.has_cuda}, torch sees {torch.cuda.device_count()}")
    torch.set_num_threads(1)
    with torch.no_grad():
        report = run(given.device, given.side)
    path = given.out
    if path is None and given.device == "cuda":
        name = re.sub(r"[^a-z0-9]+", "-", report["machine"]["device"].lower()).strip("-")
        path = Path(__file__).parent / "results" / f"{name}.json"
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=1) + "\n")
        print(f"wrote {path}")
    print(", ".join(f"{n} {word}" for word, n in report["counts"].items()))
    raise SystemExit(1 if report["counts"]["failed"] else 0)


if __name__ == "__main__":
    main()
