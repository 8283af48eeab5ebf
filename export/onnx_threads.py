"""Pictures in, the networks' answers out, by threads of this process for one event loop: no model server, CPUs only."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalog.errors import DeadlineError, NotReadyError, ShopcamError
from catalog.machine import usable_cores
from export.contract import RepositoryInfo, Tensor
from export.networks import PhotoOutputs, batches, check_images
from export.onnx_runtime import OnnxRuntimeNetworks

_Answer = dict[Tensor, NDArray[np.float32]]


class AsyncOnnxRuntimeNetworks:
    """What `AsyncTritonNetworks` answers, computed here: a thread a core, and each network of a batch by itself.

    So a client alone has both networks of a pair at once, and many are answered in the order in which they asked.
    `timeout_s` bounds each call. Raises `ModelRepositoryError` where the repository does not fit its own description,
    and `NotReadyError` where ONNX Runtime is not installed.
    """

    def __init__(self, repository: Path, *, timeout_s: float = 30.0) -> None:
        try:
            self._networks = OnnxRuntimeNetworks(repository, threads=1)
        except ImportError:
            raise NotReadyError("networks in this process need ONNX Runtime: pip install onnxruntime") from None
        self._timeout_s = timeout_s
        self._closed = False
        self._threads = ThreadPoolExecutor(usable_cores(), thread_name_prefix="networks")

    @property
    def info(self) -> RepositoryInfo:
        """What the networks are."""
        return self._networks.info

    async def infer(self, images: NDArray[np.uint8], *, timeout_s: float | None = None) -> PhotoOutputs:
        """Answer for B >= 0 pictures, uint8 [B, S, S, 3], in batches of at most `info.max_batch`.

        Raises `MalformedError` or `OutOfRangeError` for other arrays, `DeadlineError` when the time is over,
        `NotReadyError` when they fail or were closed. What has not begun by then, or when the caller is cancelled,
        never begins.
        """
        check_images(images, size_px=self.info.size_px)
        if self._closed:
            raise NotReadyError("the networks were closed")
        seconds = self._timeout_s if timeout_s is None else timeout_s
        asked = [self._ask(batch) for batch in batches(images, max_batch=self.info.max_batch)]
        try:
            async with asyncio.timeout(seconds):
                answered = await asyncio.gather(*asked)
        except TimeoutError:
            raise DeadlineError(f"the networks did not answer within {seconds:g} s") from None
        except ShopcamError:
            raise
        except Exception as error:  # ONNX Runtime's errors share no base class
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise NotReadyError(f"the networks failed: {reason[:200]}") from error
        parts = [_outputs(answers) for answers in answered]
        return PhotoOutputs.concatenate(parts) if parts else PhotoOutputs.empty(self.info)

    async def close(self) -> None:
        """Answer what was asked, then free the sessions; calling it twice is fine."""
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown, wait=True)
        self._networks.close()

    def _ask(self, batch: NDArray[np.uint8]) -> asyncio.Future[list[_Answer]]:
        """Hand a batch to the threads at once, each network of it by itself."""
        loop, answer = asyncio.get_running_loop(), self._networks.answer
        return asyncio.gather(
            *(loop.run_in_executor(self._threads, partial(answer, name, batch)) for name in self.info.networks)
        )


def _outputs(answers: list[_Answer]) -> PhotoOutputs:
    tensors = {tensor: values for answer in answers for tensor, values in answer.items()}
    return PhotoOutputs(tensors[Tensor.EMBEDDING], tensors[Tensor.PROBABILITIES], tensors[Tensor.POOLED])
