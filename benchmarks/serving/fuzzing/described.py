"""The OpenAPI document of a running service in, requests made from it out: what it allows, and what it forbids.

Schemathesis makes them and judges the answers: their statuses, headers and bodies must be those of the document, what
it allows must not be refused as malformed, and what it forbids must not be accepted. Half of the allowed ones name
things that the service has, since made-up names would only ever be told that they do not exist.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Err
from schemathesis.core.transport import Response
from schemathesis.schemas import APIOperation

from benchmarks.serving.fuzzing.outcomes import Outcome
from bento.deadlines import HEADER as PATIENCE

Operation: TypeAlias = APIOperation[Any, Any, Any, Any]
Case: TypeAlias = schemathesis.Case[Any]

REAL_SHARE = 0.5
BODY_SHARE = 8  # of what has a body, for one of what has none
TIMEOUT_S = 60.0
# The form is as described, and the gallery, the bytes or the moment say no.
POSSIBLE = ["2xx", "401", "403", "404", "409", "413", "415", "422", "429", "503", "504"]
REFUSED = ["400", "401", "403", "404", "405", "413", "415", "422", "429", "503", "504"]
SOMEWHERE = "http://127.0.0.1/photo.jpg"  # never leads out of this machine
JSON = "application/json"
PATIENT_MS = "60000"


@dataclass(frozen=True)
class Real:
    """Things that a service has, and a photo to ask it with."""

    product_ids: tuple[str, ...]
    query_ids: tuple[str, ...]
    words: tuple[str, ...]
    photo: bytes


def real_things(client: httpx.Client, photo: bytes) -> Real:
    """Ask a service for what it has."""
    found = client.post("/search", files={"image": photo}, data={"top_k": "20"}).raise_for_status().json()
    categories = client.get("/categories").raise_for_status().json()
    return Real(
        product_ids=tuple(hit["product_id"] for hit in found["hits"]),
        query_ids=(found["query_id"],),
        words=(*categories["labels"], *categories["category_paths"], "no such words", "?!"),
        photo=photo,
    )


class Described:
    """A service by its own description. Raises schemathesis' LoaderError when it has none."""

    def __init__(self, url: str, real: Real, *, admin_token: str | None = None) -> None:
        self._url = url
        self._real = real
        self._admin = {"Authorization": f"Bearer {admin_token}"} if admin_token else {}
        self._made = [
            (operation, mode, operation.as_strategy(generation_mode=mode))
            for operation in _operations(url)
            for mode in GenerationMode
            if mode is GenerationMode.POSITIVE or _can_be_wrong(operation)
        ]

    def send(self, requests: int, *, start: int, told: Callable[[Outcome], None]) -> None:
        """Send about so many requests to all operations; the same `start` makes the same ones. `told` gets each."""
        shares = [BODY_SHARE if operation.body else 1 for operation, _, _ in self._made]
        for (operation, mode, cases), share in zip(self._made, shares, strict=True):
            each = max(1, round(requests * share / sum(shares)))
            self._send_some(operation, mode, cases, most=each, start=start, told=told)

    def _send_some(
        self,
        operation: Operation,
        mode: GenerationMode,
        cases: SearchStrategy[Case],
        *,
        most: int,
        start: int,
        told: Callable[[Outcome], None],
    ) -> None:
        rng = random.Random(start)
        kind = f"{operation.label}, {'as described' if mode is GenerationMode.POSITIVE else 'otherwise'}"

        @seed(start)
        @settings(
            max_examples=most,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases)
        def send(case: Case) -> None:
            _stay_here(case)
            if mode is GenerationMode.POSITIVE:
                _make_possible(case)
                if rng.random() < REAL_SHARE:
                    _make_real(case, self._real, rng)
            told(_judged(case, mode, kind, self._url, self._admin if "/admin/" in case.path else {}))

        send()


def _operations(url: str) -> list[Operation]:
    """The service's own description, and how its answers are judged."""
    schema = schemathesis.openapi.from_url(f"{url}/docs.json")
    checks = schema.config.checks
    checks.positive_data_acceptance.expected_statuses = POSSIBLE
    checks.negative_data_rejection.expected_statuses = REFUSED
    checks.not_a_server_error.expected_statuses = ["2xx", "3xx", "4xx", "503", "504"]
    operations = []
    for found in schema.get_all_operations():
        if isinstance(found, Err):
            raise found.err()
        operations.append(found.ok())
    return operations


def _can_be_wrong(operation: Operation) -> bool:
    """Any text is a product's id, and what takes nothing cannot be given anything wrong."""
    return bool(operation.body) or "number" in operation.path


def _judged(case: Case, mode: GenerationMode, kind: str, url: str, headers: dict[str, str]) -> Outcome:
    again = case.as_curl_command()
    try:
        answer = case.call(base_url=url, headers=headers, timeout=TIMEOUT_S)
    except OSError as error:
        return Outcome(kind, 0, f"no answer: {error!r}", again)
    return Outcome(kind, answer.status_code, _problem(case, mode, answer), again)


def _problem(case: Case, mode: GenerationMode, answer: Response) -> str:
    """What the checks say, in one line."""
    try:
        case.validate_response(answer)
    except FailureGroup as group:
        spared = _spared(case, mode)
        return "; ".join(_line(failure) for failure in group.exceptions if type(failure).__name__ not in spared)
    return ""


def _spared(case: Case, mode: GenerationMode) -> set[str]:
    """Checks that a request is not held to."""
    spared = set()
    if case.media_type != JSON and case.body is not None:
        spared.add("AcceptedNegativeData")  # a form holds only texts: what is of a wrong type in it may be right
    if mode is GenerationMode.NEGATIVE:
        spared.add("RejectedPositiveData")  # `_stay_here` may have righted it, but for what a schema cannot say
    return spared


def _line(failure: BaseException) -> str:
    said = f"{failure.title}: {failure.message}" if isinstance(failure, Failure) else str(failure)
    return " ".join(said.split())[:400]


def _stay_here(case: Case) -> None:
    """No request may make the service ask the network for a made-up host."""
    if isinstance(case.body, dict) and isinstance(case.body.get("url"), str) and case.body["url"]:
        case.body["url"] = SOMEWHERE


def _make_possible(case: Case) -> None:
    """What a schema cannot say: a box has an area, and filters in a text are filters."""
    if not isinstance(case.body, dict):
        return
    if case.body.get("box"):
        case.body["box"] = "4,4,60,50.5"
    if isinstance(case.body.get("filters"), str):
        case.body["filters"] = json.dumps({"price": {"lte": 20}})


def _make_real(case: Case, real: Real, rng: random.Random) -> None:
    """Put what the service has in the place of what was made up, and a client with patience."""
    if PATIENCE in case.headers:
        case.headers[PATIENCE] = PATIENT_MS
    if "product_id" in case.path_parameters:
        case.path_parameters["product_id"] = rng.choice(real.product_ids)
    if not isinstance(case.body, dict):
        return
    choices: dict[str, tuple[Any, ...]] = {
        "image": (base64.b64encode(real.photo).decode() if case.media_type == JSON else real.photo,),
        "product_id": real.product_ids,
        "query_id": real.query_ids,
        "category": real.words,
        "query": real.words,
    }
    for name in choices.keys() & {name for name, value in case.body.items() if value}:
        case.body[name] = rng.choice(choices[name])
    if isinstance(case.body.get("filters"), dict):
        possible: tuple[Any, ...] = ({"price": {"gte": 1}}, {"category": list(real.words[:3])}, {})
        case.body["filters"] = rng.choice(possible)
