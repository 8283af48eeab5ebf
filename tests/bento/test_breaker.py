"""Calls of a server that fails and comes back; oracle: what it was asked."""

import asyncio

import pytest

from bento.breaker import FAILURES, Breaker
from catalog.errors import DeadlineError, MalformedError, NotReadyError, ShopcamError


class Server:
    """Counts calls and canaries; each raises `error` while there is one."""

    def __init__(self) -> None:
        self.error: ShopcamError | None = None
        self.calls = self.canaries = 0

    async def call(self) -> str:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return "answer"

    async def canary(self) -> None:
        self.canaries += 1
        if self.error is not None:
            raise self.error


async def fail(breaker: Breaker, server: Server, *, times: int) -> None:
    for _ in range(times):
        with pytest.raises(ShopcamError):
            await breaker.call(server.call)


async def until_closed(breaker: Breaker) -> None:
    async with asyncio.timeout(20):
        while breaker.reason is not None:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("error", [NotReadyError("it is gone"), DeadlineError("it is slow")])
def test_a_server_that_fails_is_left_alone_until_a_canary_succeeds(error: ShopcamError) -> None:
    async def story() -> None:
        server = Server()
        breaker = Breaker(server.canary, probe_s=0.001)
        server.error = error
        await fail(breaker, server, times=FAILURES)
        assert breaker.reason == str(error)
        with pytest.raises(NotReadyError, match=str(error)) as refused:
            await breaker.call(server.call)
        assert refused.value.retry_after_s == 1
        assert server.calls == FAILURES
        async with asyncio.timeout(20):
            while server.canaries < 3:
                await asyncio.sleep(0.001)
        assert breaker.reason is not None
        server.error = None
        await until_closed(breaker)
        assert await breaker.call(server.call) == "answer"
        canaries = server.canaries
        await asyncio.sleep(0.01)
        assert server.canaries == canaries

    asyncio.run(story())


def test_only_failures_of_the_server_in_a_row_count() -> None:
    async def story() -> None:
        server = Server()
        breaker = Breaker(server.canary, probe_s=0.001)
        for error in (NotReadyError("gone"), MalformedError("the client's mistake")):
            server.error = error
            await fail(breaker, server, times=FAILURES - 1)
            server.error = None
            await breaker.call(server.call)
        server.error = MalformedError("the client's mistake")
        await fail(breaker, server, times=2 * FAILURES)
        assert breaker.reason is None
        assert server.canaries == 0

    asyncio.run(story())


def test_closing_ends_the_trials() -> None:
    async def story() -> None:
        server = Server()
        server.error = NotReadyError("gone")
        breaker = Breaker(server.canary, probe_s=0.001)
        await fail(breaker, server, times=FAILURES)
        await breaker.close()
        canaries = server.canaries
        await asyncio.sleep(0.01)
        assert server.canaries == canaries
        await breaker.close()

    asyncio.run(story())


def test_without_a_canary_nothing_is_refused() -> None:
    async def story() -> None:
        server = Server()
        server.error = NotReadyError("gone")
        breaker = Breaker()
        await fail(breaker, server, times=3 * FAILURES)
        assert server.calls == 3 * FAILURES

    asyncio.run(story())
