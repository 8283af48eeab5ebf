"""Work that is shared; oracle: a count of how often it was done."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bento.shared_work import SharedWork


class Work:
    """Work that ends when it is let, and knows how often it was begun and called off."""

    def __init__(self) -> None:
        self.begun = self.cancelled = 0
        self.go = asyncio.Event()

    def of(self, result: str) -> Callable[[], Awaitable[str]]:
        async def work() -> str:
            self.begun += 1
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            if result == "fails":
                raise ValueError("it failed")
            return result

        return work


def shared(*, most: int = 8, clock: Callable[[], float] = lambda: 0.0) -> SharedWork[str]:
    return SharedWork("vectors", most=most, keep_s=10, clock=clock)


async def begun(*asking: Coroutine[Any, Any, str]) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(each) for each in asking]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


def test_who_asks_at_the_same_time_shares_it_and_who_asks_later_has_it() -> None:
    async def story() -> None:
        work, memory = Work(), shared()
        tasks = await begun(*(memory.get("a", work.of("A")) for _ in range(3)), memory.get("b", work.of("B")))
        assert work.begun == 2
        work.go.set()
        assert await asyncio.gather(*tasks) == ["A", "A", "A", "B"]
        assert await memory.get("a", work.of("another")) == "A"
        assert work.begun == 2

    asyncio.run(story())


def test_a_failure_is_everybodys_and_not_kept() -> None:
    async def story() -> None:
        work, memory = Work(), shared()
        tasks = await begun(*(memory.get("a", work.of("fails")) for _ in range(2)))
        work.go.set()
        assert all(isinstance(each, ValueError) for each in await asyncio.gather(*tasks, return_exceptions=True))
        assert await memory.get("a", work.of("A")) == "A"
        assert work.begun == 2

    asyncio.run(story())


def test_it_ends_when_the_last_one_leaves_and_not_before() -> None:
    async def story() -> None:
        work, memory = Work(), shared()
        first, second = await begun(memory.get("a", work.of("A")), memory.get("a", work.of("A")))
        first.cancel()
        await asyncio.wait([first])
        assert (work.begun, work.cancelled) == (1, 0)
        second.cancel()
        await asyncio.wait([second])
        for _ in range(3):
            await asyncio.sleep(0)
        assert (work.begun, work.cancelled) == (1, 1)
        work.go.set()
        assert await memory.get("a", work.of("again")) == "again"

    asyncio.run(story())


def test_results_are_forgotten_after_their_time_and_the_oldest_make_room() -> None:
    async def story() -> None:
        now_s = [0.0]
        work, memory = Work(), shared(most=2, clock=lambda: now_s[0])
        work.go.set()
        for key in "abc":
            await memory.get(key, work.of(key))
        assert [await memory.get(key, work.of("anew")) for key in "bca"] == ["b", "c", "anew"]
        now_s[0] = 10.5
        assert await memory.get("c", work.of("later")) == "later"

    asyncio.run(story())


@pytest.mark.parametrize("most", [0])
def test_nothing_is_shared_where_nothing_is_kept(most: int) -> None:
    async def story() -> None:
        work, memory = Work(), shared(most=most)
        tasks = await begun(*(memory.get("a", work.of("A")) for _ in range(3)))
        work.go.set()
        await asyncio.gather(*tasks)
        assert work.begun == 3

    asyncio.run(story())


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3)), max_size=30), st.integers(1, 4))
def test_whatever_is_asked_its_own_result_comes_back(asked: list[tuple[str, int]], most: int) -> None:
    async def story() -> None:
        memory = shared(most=most)

        async def work(key: str, pauses: int) -> str:
            for _ in range(pauses):
                await asyncio.sleep(0)
            return key

        answers = await asyncio.gather(*(memory.get(key, lambda k=key, p=pauses: work(k, p)) for key, pauses in asked))
        assert answers == [key for key, _ in asked]

    asyncio.run(story())
