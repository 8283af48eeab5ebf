"""That fuzzing notices what is wrong: a server that breaks the contract in every way, and tables worked out by hand."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from PIL import Image
from schemathesis import GenerationMode

from benchmarks.serving.fuzz import SEARCHES, Tally, alike, fuzz, fuzz_rows, growth_mb
from benchmarks.serving.fuzzing import photos, wire
from benchmarks.serving.fuzzing.described import Described, Real
from benchmarks.serving.fuzzing.outcomes import Outcome, problem_of
from benchmarks.serving.fuzzing.processes import descriptors, memory_mb
from bento.openapi import document
from bento.settings import Settings
from catalog.errors import NotReadyError
from tests.answering import JSON, answering, silent

REFUSAL = '{"error": {"code": "not_an_image", "message": "no picture"}}'
CASES = 20


@pytest.mark.parametrize(
    ("status", "body", "word"),
    [
        (500, REFUSAL, "answered 500"),
        (200, "<html>", "not JSON"),
        (200, "{}", "without hits"),
        (415, '{"detail": "no picture"}', "not of the contract"),
        (415, '{"error": {"code": "not_an_image", "message": "Traceback\\nline 5"}}', "more than a sentence"),
        (422, REFUSAL, "expected one of 200, 413, 415"),
        (415, REFUSAL, ""),
        (200, '{"hits": []}', ""),
        (503, REFUSAL, ""),
    ],
)
def test_a_wrong_answer_to_a_photo_is_a_problem(status: int, body: str, word: str) -> None:
    with answering(lambda *_: (status, body, JSON)) as url, httpx.Client(base_url=url) as client:
        outcome = photos.send_form(client, "flipped", 3)
    assert (outcome.status, bool(outcome.problem)) == (status, bool(word))
    assert word in outcome.problem
    assert outcome.is_server_error == (status == 500)
    assert "--again flipped:3" in outcome.again


def test_a_whole_picture_must_be_searched() -> None:
    assert problem_of(415, REFUSAL.encode(), photos.KINDS["whole"](random.Random(1)).allowed)


@pytest.mark.parametrize("kind", sorted({*photos.KINDS, *wire.KINDS}))
def test_a_seed_makes_the_same_request(kind: str) -> None:
    make = {**photos.KINDS, **wire.KINDS}[kind]
    assert make(random.Random(7)) == make(random.Random(7))
    assert len({repr(make(random.Random(seed))) for seed in range(20)}) > 1 or kind == "no_length"


def test_whole_pictures_are_whole_and_bombs_claim_gigabytes() -> None:
    for seed in range(20):
        Image.open(io.BytesIO(photos.whole(random.Random(seed)).data)).load()
        claimed = photos.bomb(random.Random(seed)).data
        side_px = int.from_bytes(claimed[16:20])
        assert side_px**2 * 3 > 10**9
        assert len(claimed) < 10_000


def test_a_connection_that_is_neither_answered_nor_closed_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LIMIT_S", 0.5)
    with silent() as url:
        outcome = wire.send_bytes(url, "slow_body", 1, upload_s=0.1)
    assert "neither answered nor closed" in outcome.problem


def test_a_server_error_on_a_bare_connection_is_a_problem() -> None:
    with answering(lambda *_: (500, "{}", JSON)) as url:
        outcome = wire.send_bytes(url, "pipelined", 1, upload_s=1)
    assert (outcome.status, outcome.is_server_error) == (500, True)
    assert "expected some of [200]" in outcome.problem


def test_a_good_request_that_gets_no_answer_is_a_problem() -> None:
    asked = []

    def answer(*_: str) -> tuple[int, str, Mapping[str, str]]:
        asked.append(1)
        return 200, "{}", {**JSON, "Connection": "close"}

    with answering(answer) as url:  # one answer a connection
        assert wire.KINDS["pipelined"](random.Random(3)).answers > 1
        outcome = wire.send_bytes(url, "pipelined", 3, upload_s=1)
    assert re.fullmatch(r"\d+ good requests got 1 answers", outcome.problem)


@pytest.mark.slow
def test_answers_that_are_not_as_described_are_problems() -> None:
    """The real document, and a server that does something else."""
    answers = {
        "/docs.json": (200, json.dumps(document(Settings()))),
        "/search/text": (200, "{}"),  # a body that is none, also for what must be refused
        "/gallery": (500, REFUSAL),
        "/livez": (200, '{"status": 5}'),
        "/categories": (418, REFUSAL),
        "/admin/swap": (400, REFUSAL),  # for what is right, too
    }
    told: list[Outcome] = []
    with answering(lambda _, path: (*answers.get(path, (404, REFUSAL)), JSON)) as url:
        real = Real(product_ids=("p",), query_ids=("q",), words=("w",), photo=b"")
        Described(url, real).send(60, start=1, told=told.append)
    problems = {kind: " ".join(one.problem for one in told if one.kind == kind) for kind in {one.kind for one in told}}
    assert "violates schema" in problems["POST /search/text, as described"]
    assert "violating request accepted" in problems["POST /search/text, otherwise"]
    assert "erver error" in problems["GET /gallery, as described"]
    assert "violates schema" in problems["GET /livez, as described"]
    assert "ndocumented" in problems["GET /categories, as described"]
    assert "valid request rejected" in problems["POST /admin/swap, as described"]
    assert all("curl" in one.again for one in told)


def test_a_wrong_request_whose_address_was_made_harmless_may_be_refused() -> None:
    """Its wrong `url` was replaced by a right one, and what a schema cannot say may still be wrong with it."""
    fields = {"url": {"type": "string", "pattern": "^https?://"}}
    form = {"type": "object", "properties": fields, "required": ["url"], "additionalProperties": False}
    described = document(Settings())
    search = described["paths"]["/search"]["post"]
    search["requestBody"]["content"] = {"application/json": {"schema": form}}
    del search["parameters"]
    described["paths"] = {"/search": {"post": search}}
    told: list[Outcome] = []
    answers = {"/docs.json": (200, json.dumps(described))}
    malformed = REFUSAL.replace("not_an_image", "malformed")
    with answering(lambda _, path: (*answers.get(path, (400, malformed)), JSON)) as url:
        Described(url, Real(product_ids=(), query_ids=(), words=(), photo=b"")).send(60, start=1, told=told.append)
    assert [one.problem for one in told if one.kind == "POST /search, otherwise" and one.problem] == []
    assert any("valid request rejected" in one.problem for one in told if one.kind == "POST /search, as described")


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits, and stands for the service's, which here does not close slow connections."""
    monkeypatch.setattr(wire, "LIMIT_S", 0.5)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@contextlib.contextmanager
def until(number: int, then: Callable[[], object]) -> Iterator[str]:
    """A service that finds the same for everybody, and does `then` with the request of this number."""
    found = json.dumps({"hits": [{"product_id": "p", "score": 1.0}], "query_id": "q"})
    answers = {
        "/docs.json": json.dumps(document(Settings())),
        "/categories": '{"labels": ["w"], "category_paths": {}}',
    }
    asked = itertools.count(1)

    def answer(_: str, path: str) -> tuple[int, str, Mapping[str, str]]:
        if next(asked) == number:
            then()
        return 200, answers.get(path, found), JSON

    with answering(answer) as url:
        yield url


@pytest.mark.slow
@pytest.mark.parametrize("number", [3, SEARCHES + 20])
def test_a_service_that_ends_is_one_sentence(other: subprocess.Popen[bytes], number: int) -> None:
    with until(number, other.kill) as url, pytest.raises(NotReadyError, match="service ended") as raised:
        fuzz(url, other.pid, [b"photo"], requests=200, seed=1, upload_s=0.1)
    assert "\n" not in str(raised.value)


def test_a_service_that_refuses_good_requests_is_one_sentence(other: subprocess.Popen[bytes]) -> None:
    with answering(lambda *_: (503, REFUSAL, JSON)) as url, pytest.raises(NotReadyError, match="503"):
        fuzz(url, other.pid, [b"photo"], requests=200, seed=1, upload_s=0.1)
    with pytest.raises(NotReadyError, match="refused"):
        fuzz("http://127.0.0.1:9", other.pid, [b"photo"], requests=200, seed=1, upload_s=0.1)
    assert "no connection" in wire.send_bytes("http://127.0.0.1:9", "pipelined", 1, upload_s=1).problem


def test_ctrl_c_ends_it_after_the_request_in_progress(
    other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the first one would be dropped: here it comes while an object is finalized."""
    tallies: list[Tally] = []
    add = Tally.add

    def pressed(tally: Tally, outcome: Outcome) -> None:
        add(tally, outcome)
        tallies.append(tally)
        if len(tallies) == 5:
            weakref.finalize(held := Held(), os.kill, os.getpid(), signal.SIGINT)
            del held

    monkeypatch.setattr(Tally, "add", pressed)
    with until(0, print) as url, pytest.raises(KeyboardInterrupt):
        fuzz(url, other.pid, [b"photo"], requests=200, seed=1, upload_s=0.1)
    assert len(tallies) == 5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Held:
    """Something that is let go of."""


def test_the_table_by_hand() -> None:
    tally = Tally(pid=1, descriptors=40)
    for status in (200, 200, 415, 503):
        tally.seen["whole", status] += 1
    tally.memory = [(number, 100 + number / 500 if number > 500 else 50) for number in range(0, 1001, 50)]
    rows = {row.name: row for row in fuzz_rows(tally, asked=4)}
    assert rows["share of 503 and 504"].value == 0.25
    growth = rows["growth of the service's memory"]
    assert (growth.value, growth.ok) == (pytest.approx(2), None)  # MB per 1,000, of the second half; too few to judge
    assert [row.name for row in rows.values() if row.ok is False] == ["share of 503 and 504"]
    tally.add(Outcome("whole", 500, "answered 500"))
    tally.differing, tally.left_open = 1, 3
    assert [row.ok for row in fuzz_rows(tally, asked=5_000)] == [False] * 7


def test_growth_needs_points() -> None:
    assert math.isnan(growth_mb([]))
    assert math.isnan(growth_mb([(50, 1.0), (100, 2.0)]))
    assert growth_mb([(k, 5.0) for k in range(0, 1000, 50)]) == pytest.approx(0)


def test_hits_are_alike_but_for_the_noise_of_a_network() -> None:
    before = [("a", 0.9), ("b", 0.8)]
    assert alike(before, [("a", 0.90001), ("b", 0.8)])
    assert not alike(before, [("a", 0.91), ("b", 0.8)])
    assert not alike(before, [("b", 0.9), ("a", 0.8)])
    assert not alike(before, before[:1])


def test_memory_is_what_a_process_holds_itself_and_descriptors_are_counted(tmp_path: Path) -> None:
    size_mb = 64
    path = tmp_path / "large"
    path.write_bytes(bytes(size_mb * 2**20))
    before_mb = memory_mb(os.getpid())
    mapped = np.memmap(path, np.uint8, "r")
    assert int(mapped.sum()) == 0  # all of it is read
    before = descriptors(os.getpid())
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(path.open("rb"))
        assert descriptors(os.getpid()) == before + 5
    assert memory_mb(os.getpid()) - before_mb < size_mb / 2
    held = np.ones(size_mb * 2**20, np.uint8)
    assert memory_mb(os.getpid()) - before_mb == pytest.approx(size_mb, abs=size_mb / 4)
    del held


def test_bytes_are_described_as_openapi_3_1_has_them() -> None:
    """`format: binary` was 3.0's; schemathesis makes values of it that its own validator does not take."""
    described = document(Settings())
    assert '"binary"' not in json.dumps(described)
    form = described["paths"]["/search"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["image"]["contentMediaType"] == "application/octet-stream"


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/search", "/search/text", "/invocations"])
def test_wrong_requests_can_be_made_of_every_description(path: str) -> None:
    described = document(Settings())
    kinds = {kind for start in range(2) for kind in made(described, path, GenerationMode.NEGATIVE, start=start)}
    assert kinds >= set(described["paths"][path]["post"]["requestBody"]["content"]) - {"image/*"}


def test_forms_of_no_source_and_of_several_can_be_made() -> None:
    """What schemathesis makes of the form's description now and then, when it makes wrong ones: all but its rules."""
    described = document(Settings())
    content = described["paths"]["/search"]["post"]["requestBody"]["content"]
    form = content["multipart/form-data"]["schema"]
    content.clear()
    content["multipart/form-data"] = {
        "schema": {
            "type": "object",
            "properties": form["properties"],
            "minProperties": 1,
            "not": {name: form[name] for name in ("properties", "additionalProperties", "oneOf")},
        }
    }
    for start in range(3):
        assert made(described, "/search", GenerationMode.POSITIVE, start=start) == ["multipart/form-data"] * CASES


def made(described: dict[str, Any], path: str, mode: GenerationMode, *, start: int) -> list[str | None]:
    """The media types of `CASES` requests that schemathesis makes of a description."""
    operation = schemathesis.openapi.from_dict(described)[path]["POST"]
    kinds: list[str | None] = []

    @hypothesis.seed(start)
    @hypothesis.settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def make(case: schemathesis.Case[Any]) -> None:
        kinds.append(case.media_type)

    make()
    return kinds
