"""`python -m export.local_triton --repository model_repository`: Triton in the foreground until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from types import FrameType

from catalog.terminal import console, run_main
from export.local_triton.server import ENVIRONMENT, LocalTriton, LocalTritonError


def main(arguments: list[str]) -> int:
    """Start, say where, wait, stop."""
    parser = argparse.ArgumentParser(prog="python -m export.local_triton", description=__doc__)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--environment", type=Path, default=ENVIRONMENT, help="what `make triton-env` made")
    parser.add_argument("--log-file", type=Path, default=Path("runs/triton.log"))
    parser.add_argument("--grpc-port", type=int, default=8001, help="0 takes a free one, here and below")
    parser.add_argument("--http-port", type=int, default=8000)
    parser.add_argument("--metrics-port", type=int, default=8002)
    parser.add_argument(
        "--instances", type=int, help="sessions a network; default: one a core, at most 4 (most photos/s)"
    )
    parser.add_argument(
        "--threads", type=int, help="cores a session; more with fewer instances answers one client sooner"
    )
    parser.add_argument(
        "--dynamic-batching", action="store_true", help="batch as the repository says; no gain on a CPU"
    )
    options = vars(parser.parse_args(arguments))

    stopping = False

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    with LocalTriton(**options) as triton:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, on_signal)
        console.print(
            f"Triton serves {triton.repository}: gRPC {triton.grpc_url}, HTTP {triton.http_url}, "
            f"metrics {triton.metrics_url}, log {triton.log_file}; Ctrl-C stops it"
        )
        while not stopping:
            if triton.wait(0.3):
                raise LocalTritonError(f"Triton ended by itself: {triton.last_words()} (log: {triton.log_file})")
    console.print("Triton stopped")
    return 0


if __name__ == "__main__":
    run_main(main)
