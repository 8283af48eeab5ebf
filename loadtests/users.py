"""Locust users that search like people with phones, like scripts, or at a pace of their own whatever the answers.

Each request ends as one `Answer` in the run's log. Importing this module imports Locust, which patches the sockets of
the whole process: `__main__` does it late.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, ClassVar

import gevent  # type: ignore[import-untyped]
from gevent.pool import Pool  # type: ignore[import-untyped]
from locust import FastHttpUser, task
from locust.exception import StopUser

from loadtests.answers import Answer, AnswerLog, Outcome
from loadtests.photos import Photo
from loadtests.shapes import Step, arrivals
from loadtests.shopper import Action, Shopper

TIMEOUT_S = 30.0
MAX_IN_FLIGHT = 500  # of an open loop; what is due beyond that counts as failed
OPEN_LOOP_SHOPPERS = 50
MAX_RETRY_AFTER_S = 10.0


@dataclass
class Plan:
    """What the users of one load share: photos, choices, and where answers go (`log` None: Locust's page only)."""

    photos: Sequence[Photo]
    categories: Sequence[str]
    seed: int
    think_s: float
    garbage: float
    log: AnswerLog | None = None
    steps: tuple[Step, ...] = ()
    begun_s: float = field(default_factory=time.perf_counter)
    numbers: Any = field(default_factory=count)
    is_over: bool = False
    in_flight: dict[int, tuple[Action, float]] = field(default_factory=dict)

    def shopper(self) -> Shopper:
        """The next person."""
        seed = f"{self.seed}-{next(self.numbers)}"
        return Shopper(self.photos, self.categories, seed=seed, think_s=self.think_s, garbage=self.garbage)

    def now_s(self) -> float:
        """Seconds since the load began."""
        return time.perf_counter() - self.begun_s

    def note(
        self, action: Action, due_s: float, *, outcome: Outcome, status: int = 0, retry_after: bool = False, reason: str
    ) -> None:
        """Log what became of a request that is over now."""
        if self.log is not None:
            took_ms = (self.now_s() - due_s) * 1e3
            self.log.add(Answer(due_s, took_ms, action.kind, status, outcome, retry_after, reason))

    def give_up(self) -> None:
        """Requests that are unanswered when the load is over have failed."""
        for action, due_s in list(self.in_flight.values()):
            self.note(action, due_s, outcome=Outcome.FAILED, reason="no answer by the end of the load")
        self.in_flight.clear()


class _Sender(FastHttpUser):  # type: ignore[misc]  # Locust is untyped here
    """Sends a shopper's requests; `plan` is set on the environment."""

    abstract = True
    network_timeout = TIMEOUT_S
    connection_timeout = TIMEOUT_S
    # A phone's next request comes on a new connection. Kept ones could also be closed by the service, as its right is,
    # in the moment that the client uses them again, and look like failures.
    connection: ClassVar[dict[str, str]] = {"Connection": "close"}

    @property
    def plan(self) -> Plan:
        """What all users share."""
        plan: Plan = self.environment.shopcam_plan
        return plan

    def ask(self, shopper: Shopper, due_s: float) -> float:
        """One request, due at `due_s`; returns the seconds that a refused client was asked to wait."""
        action = shopper.next()
        data, content_type = action.body()
        key = id(action)
        self.plan.in_flight[key] = (action, due_s)
        headers = {"Content-Type": content_type, **self.connection}
        with self.client.post(
            "/search", data=data, headers=headers, name=str(action.kind), catch_response=True
        ) as response:
            status = int(response.status_code or 0)
            wait = (response.headers or {}).get("Retry-After")
            if status == 429 and wait is not None:
                outcome, reason = Outcome.SHED, ""
            else:
                reason = _what_is_wrong(shopper, action, status, response)
                outcome = Outcome.FAILED if reason else Outcome.OK
            if reason:
                response.failure(reason)
            else:
                response.success()
        if self.plan.in_flight.pop(key, None) is not None:
            retry = wait is not None
            self.plan.note(action, due_s, outcome=outcome, status=status, retry_after=retry, reason=reason)
        return min(float(wait), MAX_RETRY_AFTER_S) if wait is not None and wait.isdigit() else 0.0


def _what_is_wrong(shopper: Shopper, action: Action, status: int, response: Any) -> str:
    """One clause, or nothing."""
    body = shopper.saw(action, status, response.content or b"")
    if action.is_right(status):
        return body or ""
    if status == 0:
        error = getattr(response, "error", None)
        return f"no answer ({type(error).__name__})" if error is not None else "no answer"
    return f"status {status}" if action.is_right(200) else f"garbage was answered with status {status}"


class PhoneUser(_Sender):
    """A shopper with a phone: asks, looks at the hits for a while, asks again; waits when told to (Retry-After)."""

    def on_start(self) -> None:
        """Become one person."""
        self.shopper = self.plan.shopper()
        self.told_to_wait_s = 0.0

    def wait_time(self) -> float:
        """Seconds until the next request."""
        return max(self.shopper.pause_s(), self.told_to_wait_s)

    @task  # type: ignore[untyped-decorator]  # Locust is untyped here
    def search(self) -> None:
        """One request."""
        self.told_to_wait_s = self.ask(self.shopper, self.plan.now_s())


class ScriptUser(_Sender):
    """A script: asks as soon as it has its answer, whatever the answer is, on a connection that stays."""

    connection: ClassVar[dict[str, str]] = {}

    def on_start(self) -> None:
        """Become one person."""
        self.shopper = self.plan.shopper()

    @task  # type: ignore[untyped-decorator]  # Locust is untyped here
    def search(self) -> None:
        """One request."""
        self.ask(self.shopper, self.plan.now_s())


class OpenLoopUser(_Sender):
    """One user who sends every arrival of the plan when it is due, without waiting for answers to earlier ones."""

    fixed_count = 1
    concurrency = MAX_IN_FLIGHT

    @task  # type: ignore[untyped-decorator]  # Locust is untyped here
    def search(self) -> None:
        """The whole load."""
        shoppers = [self.plan.shopper() for _ in range(OPEN_LOOP_SHOPPERS)]
        pool = Pool(MAX_IN_FLIGHT)
        for number, due_s in enumerate(arrivals(self.plan.steps)):
            gevent.sleep(max(0.0, due_s - self.plan.now_s()))
            if self.plan.is_over:
                break
            shopper = shoppers[number % len(shoppers)]
            if pool.free_count() > 0:
                pool.spawn(self.ask, shopper, due_s)
            else:
                reason = f"not sent: {MAX_IN_FLIGHT} requests were unanswered"
                self.plan.note(shopper.next(), due_s, outcome=Outcome.FAILED, reason=reason)
        pool.join(timeout=TIMEOUT_S)
        raise StopUser
