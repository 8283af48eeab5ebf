"""What was done to a service, and how its answers and its readiness went meanwhile, in; verdicts out.

A service keeps its promises in an event when searches failed only in the ways the event allows, none failed that was
asked later than `recover_s` after the end of the event, and /readyz said so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.answers import Answer, Outcome
from loadtests.chaos_plan import Event
from loadtests.shopper import Kind

NEAR_S = 0.5  # searches asked so near to a look at /readyz tell whether it was right
MIN_NEAR = 2


@dataclass(frozen=True)
class Happened:
    """When an event began, was over, and was watched until; seconds since the load began. `failure`: of a command."""

    event: Event
    begun_s: float
    back_s: float
    watched_s: float
    failure: str = ""


@dataclass(frozen=True)
class Look:
    """What /readyz said at a time."""

    at_s: float
    ready: bool


@dataclass(frozen=True)
class Verdict:
    """One promise in one event."""

    event: str
    holds: bool
    sentence: str


def verdicts_on(happened: Sequence[Happened], answers: Sequence[Answer], looks: Sequence[Look]) -> tuple[Verdict, ...]:
    """Every verdict, event by event."""
    found: list[Verdict] = []
    begin_s = 0.0
    for one in happened:
        inside = [a for a in answers if begin_s <= a.at_s < one.watched_s]
        before = [a for a in inside if _end_s(a) < one.begun_s]
        since = [a for a in inside if _end_s(a) >= one.begun_s]
        found.append(_before(one, before))
        if one.failure:
            found.append(Verdict(one.event.name, False, one.failure))
        found += [_allowed(one, since), _recovered(one, since)]
        found.append(_readiness(one, inside, [look for look in looks if begin_s <= look.at_s < one.watched_s]))
        begin_s = one.watched_s
    return tuple(found)


def longest_lie_s(answers: Sequence[Answer], looks: Sequence[Look]) -> float:
    """Seconds of the longest stretch in which /readyz said the opposite of what all searches near it showed."""
    searches = [answer for answer in answers if answer.kind != Kind.GARBAGE]
    longest, begun_s = 0.0, None
    for look in looks:
        near = [a.outcome is not Outcome.FAILED for a in searches if abs(a.at_s - look.at_s) <= NEAR_S]
        if len(near) < MIN_NEAR:
            continue
        if any(near) if look.ready else not all(near):
            begun_s = None
            continue
        begun_s = look.at_s if begun_s is None else begun_s
        longest = max(longest, look.at_s - begun_s)
    return longest


def _before(one: Happened, answers: Sequence[Answer]) -> Verdict:
    failed = [answer for answer in answers if answer.outcome is Outcome.FAILED]
    name = one.event.name
    if not answers:
        return Verdict(name, False, "before it, nothing was answered; a longer pause_s gives the load time to begin")
    return Verdict(name, not failed, f"before it, {len(failed):,} of {len(answers):,} requests failed{_how(failed)}")


def _allowed(one: Happened, answers: Sequence[Answer]) -> Verdict:
    failed = [answer for answer in answers if answer.outcome is Outcome.FAILED]
    wrong = [answer for answer in failed if not _is_allowed(one.event, answer)]
    allowed = ", ".join(map(str, one.event.allow)) or "none"
    sentence = f"from its begin on, {len(failed):,} of {len(answers):,} requests failed{_how(failed)}"
    if wrong:
        sentence += f"; not allowed{_how(wrong)} (allowed: {allowed})"
    return Verdict(one.event.name, not wrong and bool(answers), sentence)


def _recovered(one: Happened, answers: Sequence[Answer]) -> Verdict:
    failed_at_s = [answer.at_s for answer in answers if answer.outcome is Outcome.FAILED]
    last_s = max(failed_at_s, default=one.begun_s)
    name, limit_s = one.event.name, one.event.recover_s
    if not any(answer.outcome is Outcome.OK and answer.at_s > max(last_s, one.back_s) for answer in answers):
        return Verdict(name, False, f"it did not recover in the {one.watched_s - one.back_s:.1f} s it was watched")
    if not failed_at_s:
        return Verdict(name, True, "it had nothing to recover from: no request failed")
    took_s = max(0.0, last_s - one.back_s)
    return Verdict(name, took_s <= limit_s, f"it recovered {took_s:.1f} s after its end (limit {limit_s:g} s)")


def _readiness(one: Happened, answers: Sequence[Answer], looks: Sequence[Look]) -> Verdict:
    if not looks:
        return Verdict(one.event.name, False, "/readyz was never answered")
    took_s, limit_s = longest_lie_s(answers, looks), one.event.ready_lag_s
    said = f"/readyz was at odds with searches for {took_s:.1f} s at most (limit {limit_s:g} s)"
    return Verdict(one.event.name, took_s <= limit_s, said)


def _is_allowed(event: Event, answer: Answer) -> bool:
    return answer.status in event.allow and (answer.status != 503 or answer.retry_after)


def _how(failed: Sequence[Answer]) -> str:
    counts = Counter(_name(answer) for answer in failed)
    return "".join([": ", ", ".join(f"{n:,} x {name}" for name, n in counts.most_common())]) if counts else ""


def _name(answer: Answer) -> str:
    if answer.status == 0:
        return "no answer"
    if answer.status == 200:
        return answer.reason
    return f"{answer.status}{'' if answer.retry_after or answer.status != 503 else ' without Retry-After'}"


def _end_s(answer: Answer) -> float:
    return answer.at_s + answer.latency_ms / 1e3
