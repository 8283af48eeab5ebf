"""Work that is of no single request: blocking calls in a daemon thread each, tasks that follow something.

A daemon thread a call, so that no slow disk or store holds up an exit.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], *, name: str, nice: int = 0) -> T:
    """Return what `work` returns or raise what it raises. `nice` yields the cores to others, on Linux only.

    Work that holds the interpreter lock for long should not be nice: whoever waits for the lock would wait longer.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()
    threading.Thread(target=_run, args=(work, loop, answer, nice), name=name, daemon=True).start()
    try:
        return await answer
    finally:
        # An error's traceback holds this frame and the future holds the error: a ring that would keep a gallery mapped.
        del answer


def begin_task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Begin a task that outlives the request that happens to begin it: its lines and spans are its own."""
    return asyncio.get_running_loop().create_task(work, context=Context())


def empty_frames(error: BaseException) -> None:
    """Drop what the functions that an error came through still hold; for errors that were dealt with.

    A ring of an error and one of its frames would keep a gallery mapped until the interpreter looks for rings.
    """
    one: BaseException | None = error
    while one is not None:
        traceback.clear_frames(one.__traceback__)
        one = one.__cause__ or one.__context__


def _run(work: Callable[[], Any], loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Any], nice: int) -> None:
    result, error = None, None
    try:
        if nice:
            _yield_cores(nice)
        result = work()
    except BaseException as raised:  # it belongs to the one who waits
        error = raised
    with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(_settle, answer, result, error)
    del result, error, work  # a gallery must not live on in a frame


def _settle(answer: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if answer.done():  # nobody waits any more
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)


def _yield_cores(nice: int) -> None:
    """Lower the priority of the calling thread; on Linux a thread has one of its own."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
