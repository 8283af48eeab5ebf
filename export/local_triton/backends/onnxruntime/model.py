"""Triton's backend `onnxruntime`, written with its Python backend: a model's folder in, its answers out.

Runs inside Triton's own environment (numpy 1, onnxruntime) and stands in for the compiled backend of the same name, so
that one repository serves machines with and without containers. Every instance has a session of its own; of the
compiled backend's parameters it reads `intra_op_thread_count`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray


class TritonPythonModel:
    """One instance of one network."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: Any) -> Any:
        """Return the configuration as it is: `export` writes it in full."""
        return auto_complete_model_config

    def initialize(self, args: dict[str, str]) -> None:
        """Open the session of the version asked for; Triton reports what is raised here as the reason."""
        config = json.loads(args["model_config"])
        file_name = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"]) / args["model_version"] / file_name
        threads = config.get("parameters", {}).get("intra_op_thread_count", {}).get("string_value", "0")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(threads)
        options.inter_op_num_threads = 1
        # Spinning threads take the cores from everything else on the machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._inputs = [tensor.name for tensor in self._session.get_inputs()]
        self._outputs = [tensor["name"] for tensor in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer all requests with one run over their concatenated batches; a bad request fails alone."""
        responses: list[Any] = [None] * len(requests)
        feeds: dict[int, dict[str, NDArray[Any]]] = {}
        for index, request in enumerate(requests):
            try:
                feeds[index] = self._feed(request)
            except (ValueError, TypeError) as error:
                responses[index] = _failure(error)
        for group in _same_shapes(feeds):
            for index, response in zip(group, self._run([feeds[index] for index in group]), strict=True):
                responses[index] = response
        return responses

    def _feed(self, request: Any) -> dict[str, NDArray[Any]]:
        tensors = {name: pb_utils.get_input_tensor_by_name(request, name) for name in self._inputs}
        if missing := [name for name, tensor in tensors.items() if tensor is None]:
            raise ValueError(f"the request has no input {', '.join(missing)}")
        return {name: tensor.as_numpy() for name, tensor in tensors.items()}

    def _run(self, feeds: list[dict[str, NDArray[Any]]]) -> list[Any]:
        """Return one response for each feed, all of the same shapes but for the batch."""
        try:
            batch = {name: _joined([feed[name] for feed in feeds]) for name in self._inputs}
            values = self._session.run(self._outputs, batch)
        except Exception as error:  # ONNX Runtime's errors share no base class; the response carries them
            if len(feeds) > 1:
                return [response for feed in feeds for response in self._run([feed])]  # one of them fails, not all
            return [_failure(error) for _ in feeds]
        ends = np.cumsum([len(feed[self._inputs[0]]) for feed in feeds])
        return [
            pb_utils.InferenceResponse(
                [
                    pb_utils.Tensor(name, np.ascontiguousarray(value[end - len(feed[self._inputs[0]]) : end]))
                    for name, value in zip(self._outputs, values, strict=True)
                ]
            )
            for feed, end in zip(feeds, ends, strict=True)
        ]


def _same_shapes(feeds: dict[int, dict[str, NDArray[Any]]]) -> list[list[int]]:
    """Group requests whose tensors agree behind the batch axis (all of them, where dimensions are fixed)."""
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for index, feed in feeds.items():
        groups.setdefault(tuple(array.shape[1:] for array in feed.values()), []).append(index)
    return list(groups.values())


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _failure(error: Exception) -> Any:
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(f"onnxruntime: {error}"))
