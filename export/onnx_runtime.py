"""Pictures in, the networks' answers out, by ONNX Runtime in this process: the builder's runner, Triton's oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import OutOfRangeError
from export.contract import (
    Model,
    ModelDescription,
    ModelRepositoryError,
    RepositoryInfo,
    Tensor,
    onnx_path,
    read_model,
    read_repository,
)
from export.networks import PhotoOutputs, batches, check_images, dim_of, network_of


class OnnxRuntimeNetworks:
    """The networks of a repository (a pair or a fused one), newest versions, on the CPU, for any number of threads.

    `threads` is the number of cores one call may use; None leaves the choice to ONNX Runtime (all cores).
    Raises `ModelRepositoryError` when the repository, or a network in it, does not fit its own description, and
    `OutOfRangeError` for fewer than 1 thread.
    """

    def __init__(self, repository: Path, *, threads: int | None = None) -> None:
        self._info = read_repository(repository)
        self._sessions: dict[Model, Any] = {}
        for name in self._info.networks:
            self._sessions[name] = open_session(repository, read_model(repository, name), threads=threads)

    @property
    def info(self) -> RepositoryInfo:
        """What the networks are."""
        return self._info

    def infer(self, images: NDArray[np.uint8]) -> PhotoOutputs:
        """Answer for B >= 0 pictures, uint8 [B, S, S, 3], in steps of at most `info.max_batch`.

        Raises `MalformedError` for another type, `OutOfRangeError` for another shape, `ModelRepositoryError` if closed.
        """
        self._check(images)
        parts = [self._infer(batch) for batch in batches(images, max_batch=self._info.max_batch)]
        return PhotoOutputs.concatenate(parts) if parts else PhotoOutputs.empty(self._info)

    def vectors(self, images: NDArray[np.uint8], tensor: Tensor) -> NDArray[np.float32]:
        """Answer one tensor, [B, D], by the one network behind it; raises as `infer` does."""
        self._check(images)
        session = self._sessions[network_of(tensor, self._info)]
        parts = [np.zeros((0, dim_of(tensor, self._info)), np.float32)]
        for batch in batches(images, max_batch=self._info.max_batch):
            parts += session.run([tensor.value], {Tensor.IMAGE.value: batch})
        return np.concatenate(parts)

    def answer(self, network: Model, batch: NDArray[np.uint8]) -> dict[Tensor, NDArray[np.float32]]:
        """Answer all tensors of one network for a batch that `infer` would take in one step."""
        outputs = self._info.networks[network]
        values = self._sessions[network].run([tensor.value for tensor in outputs], {Tensor.IMAGE.value: batch})
        return dict(zip(outputs, values, strict=True))

    def close(self) -> None:
        """Free the sessions; calling it twice is fine."""
        self._sessions = {}

    def _check(self, images: NDArray[np.uint8]) -> None:
        check_images(images, size_px=self._info.size_px)
        if not self._sessions:
            raise ModelRepositoryError("the networks were closed; open the repository again")

    def _infer(self, batch: NDArray[np.uint8]) -> PhotoOutputs:
        answers: dict[Tensor, NDArray[np.float32]] = {}
        for name in self._info.networks:
            answers |= self.answer(name, batch)
        return PhotoOutputs(answers[Tensor.EMBEDDING], answers[Tensor.PROBABILITIES], answers[Tensor.POOLED])


def open_session(repository: Path, description: ModelDescription, *, threads: int | None = None) -> Any:
    """Open the newest version of one network as an `onnxruntime.InferenceSession` on the CPU.

    Raises `ModelRepositoryError` when the file is no network or has other tensors than described, `OutOfRangeError` for
    fewer than 1 thread.
    """
    import onnxruntime  # late: the service reads `export.contract` without it

    if threads is not None and threads < 1:
        raise OutOfRangeError(f"threads is {threads}, at least 1 is needed")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    # Spinning threads take the cores from everything else on the machine (DESIGN, section 8).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    path = onnx_path(repository, description)
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class
        reason = str(error).splitlines()[0]
        raise ModelRepositoryError(f"{path} cannot be loaded by ONNX Runtime: {reason}") from error
    size = description.size_px
    _check_tensors(path, session.get_inputs(), {Tensor.IMAGE: [size, size, 3]})
    _check_tensors(path, session.get_outputs(), {tensor: [dim] for tensor, dim in description.outputs.items()})
    return session


def _check_tensors(path: Path, tensors: list[Any], expected: dict[Tensor, list[int]]) -> None:
    """Refuse a network whose tensors are not the described ones behind a free batch axis."""
    got = {tensor.name: list(tensor.shape) for tensor in tensors}
    fits = set(got) == set(expected) and all(
        got[tensor][1:] == dims and not isinstance(got[tensor][0], int) for tensor, dims in expected.items()
    )
    if not fits:
        want = {tensor.value: ["batch", *dims] for tensor, dims in expected.items()}
        raise ModelRepositoryError(f"{path} has the tensors {got}, its configuration says {want}")
