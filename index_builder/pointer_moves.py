"""The pointer of a store and what somebody wants of it in, the pointer that would follow out: no files, no races.

Each returns what it was given where there is nothing to do, and refuses what makes no sense.
"""

from __future__ import annotations

from datetime import UTC, datetime

from catalog.errors import NotFoundError, OutOfRangeError
from index_builder.errors import ConflictError
from index_builder.manifest import Forced, LivePointer, ModelPair


def swapped(before: LivePointer | None, pair: ModelPair, *, forced: Forced | None) -> LivePointer:
    """The pointer with `pair` live. `ConflictError` while a canary runs: who swaps then has not seen it."""
    if before is not None and before.live == pair:
        return before  # again: the way back is not lost
    refuse_on_trial(before, pair.gallery)
    return LivePointer(
        live=pair,
        previous=before and before.live,
        updated_at=now(),
        forced=forced,
        removing=before.removing if before else [],
    )


def rolled_back(before: LivePointer) -> LivePointer:
    """The pointer with live and previous exchanged; a canary ends, since going back must always be possible."""
    return LivePointer(live=previous_of(before), previous=before.live, updated_at=now(), removing=before.removing)


def with_canary(before: LivePointer, pair: ModelPair, *, share: float, forced: Forced | None) -> LivePointer:
    """The pointer with `pair` on trial, or with another share for the one that is.

    Raises `ConflictError` while another one is, `OutOfRangeError` for the live gallery and for a share outside (0, 1].
    """
    check_canary(before, pair.gallery, share=share)
    return touched(before, canary=pair, canary_share=share, forced_canary=forced)


def check_canary(before: LivePointer | None, version: str, *, share: float) -> LivePointer:
    """Return the pointer that a canary would be added to; raises as `with_canary` does, `NotFoundError` without one."""
    if not 0 < share <= 1:
        raise OutOfRangeError(f"share is {share:g}, expected above 0, up to 1; `drop` ends a canary")
    if before is None:
        raise NotFoundError("no gallery is live yet, so there is nothing to try another one against; swap first")
    if before.live.gallery == version:
        raise OutOfRangeError(f"gallery {version} is live already, a canary must be another one")
    refuse_on_trial(before, version, but=version)
    return before


def promoted(before: LivePointer) -> LivePointer:
    """The pointer with the canary live. `NotFoundError` when none runs."""
    return LivePointer(
        live=canary_of(before),
        previous=before.live,
        updated_at=now(),
        forced=before.forced_canary,
        removing=before.removing,
    )


def dropped(before: LivePointer) -> LivePointer:
    """The pointer without its canary. `NotFoundError` when none runs."""
    canary_of(before)
    return touched(before, canary=None, canary_share=0.0, forced_canary=None)


def previous_of(pointer: LivePointer | None, *, uri: str = "the store") -> ModelPair:
    """The pair that was live before; `NotFoundError` when there is none."""
    if pointer is None or pointer.previous is None:
        raise NotFoundError(f"nothing to roll back to in {uri}: no gallery was live before this one")
    return pointer.previous


def canary_of(pointer: LivePointer | None) -> ModelPair:
    """The pair on trial; `NotFoundError` when there is none."""
    if pointer is None or pointer.canary is None:
        raise NotFoundError("no canary runs; `canary VERSION --share 0.1` starts one")
    return pointer.canary


def refuse_on_trial(pointer: LivePointer | None, version: str, *, but: str | None = None) -> None:
    """Raise `ConflictError` while a gallery (`but` this one) is on trial, unless `version` is the live one."""
    if pointer is None or pointer.canary is None or version == pointer.live.gallery:
        return
    if pointer.canary.gallery != but:
        raise ConflictError(
            f"gallery {pointer.canary.gallery} is on trial with a share of {pointer.canary_share:g}: `promote` or "
            "`drop` it first"
        )


def touched(pointer: LivePointer, **changes: object) -> LivePointer:
    """The pointer with other fields; the time makes its bytes new, so that no state ever comes back."""
    return pointer.model_copy(update={**changes, "updated_at": now()})


def now() -> datetime:
    """The time as pointers have it, UTC."""
    return datetime.now(UTC)
