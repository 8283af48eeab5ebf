"""Pictures in, the networks' answers out, by one gRPC request to the model `photo` of a Triton server.

Two clients with the same words: `TritonNetworks` for threads, `AsyncTritonNetworks` for one event loop. Every failure
is a `ModelServerError` (503) or a `DeadlineError` (504) with one sentence.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException

from catalog.errors import DeadlineError, NotReadyError, ShopcamError
from export.contract import Model, PhotoDescription, RepositoryInfo, Tensor
from export.description import plain
from export.model_config import photo_of_config
from export.networks import PhotoOutputs, batches, check_images, dim_of, network_of
from export.tracing import TracedTritonClient

RETRY_AFTER_S = 2.0
OUTPUTS = (Tensor.EMBEDDING, Tensor.PROBABILITIES, Tensor.POOLED)
CHANNEL_OPTIONS = [
    # A batch of big pictures passes gRPC's default of 4 MiB.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A server that was restarted is found again within a second; gRPC's own rule waits up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # One connection a client: a dead one is never shared with clients made later.
    ("grpc.use_local_subchannel_pool", 1),
]


class ModelServerError(NotReadyError):
    """The model server cannot be reached, does not serve what is needed, or failed."""


class TritonNetworks:
    """The networks behind a Triton server at `url` ("host:port"). May be used from several threads.

    `info` is what the caller relies on (its own copy of the repository, or `remote_info(url)`); `check_spaces` compares
    it with the server. `timeout_s` bounds each call of `infer`, however many batches it takes.
    """

    def __init__(self, url: str, *, info: RepositoryInfo, timeout_s: float = 30.0) -> None:
        self.url = url
        self._info = info
        self._timeout_s = timeout_s
        # Of the client's methods only those without a stream are called: they share nothing but a gRPC channel, which
        # is made for threads.
        self._client = triton.InferenceServerClient(url, channel_args=CHANNEL_OPTIONS)

    @property
    def info(self) -> RepositoryInfo:
        """What the networks are."""
        return self._info

    def infer(self, images: NDArray[np.uint8], *, timeout_s: float | None = None) -> PhotoOutputs:
        """Answer for B >= 0 pictures, uint8 [B, S, S, 3], in requests of at most `info.max_batch` pictures.

        Raises `MalformedError` or `OutOfRangeError` for other arrays, `DeadlineError` when the time is over,
        `ModelServerError`.
        """
        check_images(images, size_px=self._info.size_px)
        deadline = _Deadline(self.url, self._timeout_s if timeout_s is None else timeout_s)
        parts = []
        for batch in batches(images, max_batch=self._info.max_batch):
            try:
                result = self._client.infer(**_request(batch), client_timeout=deadline.left_s())
            except InferenceServerException as error:
                raise _sentence(error, deadline) from error
            parts.append(_outputs(result, batch=len(batch), info=self._info))
        return PhotoOutputs.concatenate(parts) if parts else PhotoOutputs.empty(self._info)

    def vectors(self, images: NDArray[np.uint8], tensor: Tensor) -> NDArray[np.float32]:
        """Answer one tensor, [B, D], by the one network behind it; raises as `infer` does."""
        check_images(images, size_px=self._info.size_px)
        deadline = _Deadline(self.url, self._timeout_s)
        dim = dim_of(tensor, self._info)
        parts = [np.zeros((0, dim), np.float32)]
        for batch in batches(images, max_batch=self._info.max_batch):
            request = _request(batch, model=network_of(tensor, self._info), outputs=(tensor,))
            try:
                result = self._client.infer(**request, client_timeout=deadline.left_s())
            except InferenceServerException as error:
                raise _sentence(error, deadline) from error
            parts.append(_array(result, tensor, batch=len(batch), dim=dim))
        return np.concatenate(parts)

    def check_spaces(self) -> None:
        """Raise `ModelServerError` when the server's networks are not those of `info`."""
        deadline = _Deadline(self.url, self._timeout_s)
        try:
            response = self._client.get_model_config(Model.PHOTO, client_timeout=deadline.left_s())
        except InferenceServerException as error:
            raise _sentence(error, deadline) from error
        _check(photo_of_config(response.config, source=self.url), self._info, url=self.url)

    def close(self) -> None:
        """Close the connection; calling it twice is fine."""
        self._client.close()


class AsyncTritonNetworks:
    """The same for one event loop: the connection is made by the first call and belongs to that call's loop."""

    def __init__(self, url: str, *, info: RepositoryInfo, timeout_s: float = 30.0) -> None:
        self.url = url
        self._info = info
        self._timeout_s = timeout_s
        self._opened: Any = None

    @property
    def info(self) -> RepositoryInfo:
        """What the networks are."""
        return self._info

    async def infer(self, images: NDArray[np.uint8], *, timeout_s: float | None = None) -> PhotoOutputs:
        """Answer for B >= 0 pictures as `TritonNetworks.infer` does; several batches travel at the same time."""
        check_images(images, size_px=self._info.size_px)
        deadline = _Deadline(self.url, self._timeout_s if timeout_s is None else timeout_s)
        pending = [self._infer(batch, deadline) for batch in batches(images, max_batch=self._info.max_batch)]
        parts = [await pending[0]] if len(pending) == 1 else await asyncio.gather(*pending)
        return PhotoOutputs.concatenate(parts) if parts else PhotoOutputs.empty(self._info)

    async def check_spaces(self) -> None:
        """Raise `ModelServerError` when the server's networks are not those of `info`."""
        deadline = _Deadline(self.url, self._timeout_s)
        try:
            response = await self._client().get_model_config(Model.PHOTO, client_timeout=deadline.left_s())
        except InferenceServerException as error:
            raise _sentence(error, deadline) from error
        _check(photo_of_config(response.config, source=self.url), self._info, url=self.url)

    async def close(self) -> None:
        """Close the connection; a later call opens a new one."""
        client, self._opened = self._opened, None
        if client is not None:
            await client.close()

    async def _infer(self, batch: NDArray[np.uint8], deadline: _Deadline) -> PhotoOutputs:
        try:
            result = await self._once_more(batch, deadline)
        except InferenceServerException as error:
            raise _sentence(error, deadline) from error
        return _outputs(result, batch=len(batch), info=self._info)

    async def _once_more(self, batch: NDArray[np.uint8], deadline: _Deadline) -> Any:
        """Ask again when a connection broke: networks remember nothing, so that asking twice does no harm."""
        try:
            return await self._client().infer(**_request(batch), client_timeout=deadline.left_s())
        except InferenceServerException as error:
            if _status(error) != "UNAVAILABLE":
                raise
        return await self._client().infer(**_request(batch), client_timeout=deadline.left_s())

    def _client(self) -> Any:
        if self._opened is None:
            self._opened = TracedTritonClient(self.url, channel_args=CHANNEL_OPTIONS)
        return self._opened


def remote_info(url: str, *, timeout_s: float = 30.0) -> RepositoryInfo:
    """Ask a running server what `photo` is: sizes and spaces from its configuration, labels by Triton's classification.

    Raises `ModelServerError` when the server cannot be reached or serves something else.
    """
    deadline = _Deadline(url, timeout_s)
    client = triton.InferenceServerClient(url, channel_args=CHANNEL_OPTIONS)
    try:
        response = client.get_model_config(Model.PHOTO, client_timeout=deadline.left_s())
        photo = photo_of_config(response.config, source=url)
        if set(photo.outputs) != set(OUTPUTS):
            raise ModelServerError(f"the model server at {url} answers {sorted(photo.outputs)}, expected {OUTPUTS}")
        count = photo.outputs[Tensor.PROBABILITIES]
        request = _request(np.zeros((1, photo.size_px, photo.size_px, 3), np.uint8))
        request["outputs"] = [triton.InferRequestedOutput(Tensor.PROBABILITIES, class_count=count)]
        ranked = client.infer(**request, client_timeout=deadline.left_s()).as_numpy(Tensor.PROBABILITIES)
    except InferenceServerException as error:
        raise _sentence(error, deadline) from error
    finally:
        client.close()
    # One "score:index:label" a label, best first.
    fields = [entry.decode().split(":", 2) for entry in ranked.ravel()]
    labels = {int(field[1]): field[2] for field in fields if len(field) == 3}
    if sorted(labels) != list(range(count)):
        raise ModelServerError(f"the model server at {url} knows {len(labels)} labels for {count} probabilities")
    return RepositoryInfo(
        size_px=photo.size_px,
        embedding_dim=photo.outputs[Tensor.EMBEDDING],
        pooled_dim=photo.outputs[Tensor.POOLED],
        labels=tuple(labels[index] for index in range(count)),
        spaces=dict(photo.spaces),
        max_batch=photo.max_batch,
    )


class _Deadline:
    """The end of the time one call has; `left_s` raises `DeadlineError` once it is over."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self._end_s = time.monotonic() + timeout_s

    def left_s(self) -> float:
        if (left_s := self._end_s - time.monotonic()) <= 0:
            raise self.error()
        return left_s

    def error(self) -> DeadlineError:
        return DeadlineError(f"the model server at {self.url} did not answer within {self.timeout_s:g} s")


def _request(
    batch: NDArray[np.uint8], *, model: Model = Model.PHOTO, outputs: Sequence[Tensor] = OUTPUTS
) -> dict[str, Any]:
    image = triton.InferInput(Tensor.IMAGE, list(batch.shape), "UINT8")
    image.set_data_from_numpy(batch)
    requested = [triton.InferRequestedOutput(tensor) for tensor in outputs]
    return {"model_name": model.value, "inputs": [image], "outputs": requested}


def _outputs(result: Any, *, batch: int, info: RepositoryInfo) -> PhotoOutputs:
    return PhotoOutputs(*(_array(result, tensor, batch=batch, dim=dim_of(tensor, info)) for tensor in OUTPUTS))


def _array(result: Any, tensor: Tensor, *, batch: int, dim: int) -> NDArray[np.float32]:
    """Take a tensor out.

    One that is missing or of another shape is an error: Triton under numpy 2 answers with empty ones.
    """
    array = result.as_numpy(tensor)
    if array is None or array.shape != (batch, dim):
        got = "nothing" if array is None else list(array.shape)
        raise ModelServerError(f"the model server answered {tensor} {got}, expected [{batch}, {dim}]")
    return np.array(array, np.float32)  # a copy: the message's own memory cannot be written to


def _check(got: PhotoDescription, info: RepositoryInfo, *, url: str) -> None:
    dims = {tensor: dim_of(tensor, info) for tensor in OUTPUTS}
    expected = PhotoDescription(size_px=info.size_px, outputs=dims, spaces=dict(info.spaces), max_batch=info.max_batch)
    for what in ("spaces", "size_px", "outputs", "max_batch"):
        if (have := getattr(got, what)) != (want := getattr(expected, what)):
            raise ModelServerError(f"the model server at {url} serves {what} {plain(have)}, expected {plain(want)}")


def _status(error: InferenceServerException) -> str:
    return str(error.status() or "").removeprefix("StatusCode.")


def _sentence(error: InferenceServerException, deadline: _Deadline) -> ShopcamError:
    """Turn gRPC's status into one of our errors."""
    status = _status(error)
    reason = str(error.message() or "").strip() or "no reason given"
    if status == "DEADLINE_EXCEEDED":
        return deadline.error()
    if status == "UNAVAILABLE":
        text = f"the model server at {deadline.url} cannot be reached or is not ready: {reason}"
        return ModelServerError(text, retry_after_s=RETRY_AFTER_S)
    return ModelServerError(f"the model server at {deadline.url} failed ({status or 'no status'}): {reason}")
