"""Settings, the memory of queries and the owner thread by themselves."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bento import memory as memory_module
from bento.memory import QueryMemory, Remembered
from bento.owner import MAX_BATCH, GalleryOwner, Query
from bento.settings import from_environment
from catalog.errors import MalformedError, NotFoundError, OutOfRangeError
from index_builder.store import LocalStore
from tests.bento.conftest import Oracle
from tests.bento.galleries import living


def test_settings_come_from_variables_and_flags_win() -> None:
    given = {"SHOPCAM_STORE": "a", "SHOPCAM_MAX_BYTES": "5", "SHOPCAM_ALLOW_PRIVATE_URLS": "true", "HOME": "/"}
    settings = from_environment(given, flags={"store": "b"})
    assert (settings.store, settings.max_bytes, settings.allow_private_urls) == ("b", 5, True)
    assert settings.limits.max_bytes == 5
    assert "triton_url" not in settings.model_fields_set


@pytest.mark.parametrize(
    ("variables", "flags", "words"),
    [
        ({"SHOPCAM_STROE": "a"}, {}, ["SHOPCAM_STROE", "SHOPCAM_STORE"]),
        ({"SHOPCAM_MAX_BYTES": "0"}, {}, ["SHOPCAM_MAX_BYTES", "'0'"]),
        ({"SHOPCAM_TIMEOUT_S": "soon"}, {}, ["SHOPCAM_TIMEOUT_S", "'soon'"]),
        ({"SHOPCAM_PORT": "80"}, {"port": "70000"}, ["--port", "'70000'"]),
    ],
)
def test_settings_that_do_not_fit_are_named(variables: dict[str, str], flags: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(MalformedError) as caught:
        from_environment(variables, flags=flags)
    assert [word for word in words if word not in str(caught.value)] == []


def test_queries_are_kept_for_a_while_and_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(memory_module, "time", SimpleNamespace(monotonic=lambda: now))
    memory = QueryMemory(keep_s=60, most=3)
    kept = Remembered("v1", np.zeros(2, np.float32), None, None)
    ids = [memory.add(kept) for _ in range(4)]
    assert len(set(ids)) == 4
    with pytest.raises(NotFoundError):
        memory.get(ids[0], space="v1")
    assert memory.get(ids[1], space="v1") is kept
    with pytest.raises(NotFoundError):  # vectors of one gallery mean nothing in another
        memory.get(ids[2], space="v2")
    now += 59
    assert memory.get(ids[3], space="v1") is kept
    now += 2
    with pytest.raises(NotFoundError):
        memory.get(ids[3], space="v1")


def test_the_owner_answers_each_its_own_and_a_bad_one_harms_nobody(store: LocalStore, oracle: Oracle) -> None:
    images, texts = oracle.parts
    owner = GalleryOwner(living(store.gallery("v1")))

    def query(row: int, **changes: Any) -> Query:
        text = None if row % 3 == 0 or np.isnan(texts[row]).any() else texts[row].astype(np.float32)
        return Query(**{"image": images[row].astype(np.float32), "text": text, "weight": row % 2, "top_k": 4} | changes)

    async def ask_all() -> list[Any]:
        good = [owner.search(query(row)) for row in range(len(images))]
        bad = [
            owner.search(query(1, image=np.zeros(3, np.float32))),
            owner.search(query(1, text=np.full(14, 9, np.float32))),
            owner.search(query(1, weight=99)),
        ]
        return await asyncio.gather(
            *good[:9], *bad, *good[9:], *(owner.search(query(2)) for _ in range(2 * MAX_BATCH)), return_exceptions=True
        )

    answers = asyncio.run(ask_all())
    failed = [number for number, answer in enumerate(answers) if isinstance(answer, Exception)]
    assert failed == [9, 10, 11]
    assert isinstance(answers[10], OutOfRangeError)
    assert isinstance(answers[11], OutOfRangeError)
    for row, hits in enumerate([*answers[:9], *answers[12 : 12 + len(images) - 9]]):
        asked = query(row)
        expected = oracle.rank(asked.image, asked.text, weight=asked.weight)[:4]
        assert [oracle.ids[int(hit)] for hit in hits.rows[0]] == [one[0] for one in expected]
        assert hits.scores[0] == pytest.approx([one[1] for one in expected], abs=1e-5)
    owner.close()


def test_a_client_that_left_is_no_trouble(store: LocalStore, oracle: Oracle) -> None:
    owner = GalleryOwner(living(store.gallery("v1")))
    query = Query(oracle.parts[0][0].astype(np.float32), None, 0.0, 3)

    async def leave() -> int:
        leaving = [asyncio.ensure_future(owner.search(query)) for _ in range(5)]
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        return int((await owner.search(query)).rows[0, 0])

    assert asyncio.run(leave()) == 0
    owner.close()
