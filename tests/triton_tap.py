"""A gRPC server before Triton, which keeps the metadata of every call, and hands it on as it is or refuses it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc

from export.triton_client import CHANNEL_OPTIONS


@dataclass
class TritonTap(grpc.GenericRpcHandler):
    """`url` stands for Triton; `calls` are the method and the metadata of each call so far.

    `refusals` are the statuses of the next calls, which Triton then never sees.
    """

    channel: grpc.Channel
    url: str = ""
    calls: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    refusals: list[grpc.StatusCode] = field(default_factory=list)

    def service(self, details: Any) -> Any:
        """Take any call; messages stay bytes."""
        ask = self.channel.unary_unary(details.method)
        self.calls.append((details.method.rsplit("/", 1)[-1], dict(details.invocation_metadata)))

        def hand_on(request: bytes, context: grpc.ServicerContext) -> bytes:
            if self.refusals:
                context.abort(self.refusals.pop(0), "refused by the test")
            try:
                answer: bytes = ask(request, timeout=context.time_remaining())
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())
            return answer

        return grpc.unary_unary_rpc_method_handler(hand_on)


@contextlib.contextmanager
def tapped(triton_url: str) -> Iterator[TritonTap]:
    """A tap before a running Triton."""
    with grpc.insecure_channel(triton_url, CHANNEL_OPTIONS) as channel, ThreadPoolExecutor(8) as threads:
        tap = TritonTap(channel)
        server = grpc.server(threads, handlers=[tap], options=CHANNEL_OPTIONS)
        tap.url = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield tap
        finally:
            server.stop(grace=None).wait()
