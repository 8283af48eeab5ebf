"""A gallery of the served store in; it is live, or the old one is as before and the report says why.

Only the store's pointer moves: a share of the replicas tries the gallery, the endpoint's alarms are watched, then it is
promoted, or dropped when one rings. Stopped in between, the trial goes on; run again, it is watched from the start.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from index_builder.errors import GalleryError, GateError
from index_builder.store import ConflictError, Store
from infra.alarms import RollbackAlarms
from infra.aws import CloudError
from infra.preflight import gate_of
from infra.reports import Diary, Outcome, Report
from infra.settings import GallerySettings

POLL_S = 10.0


def roll_out_gallery(
    store: Store,
    version: str,
    settings: GallerySettings,
    alarms: RollbackAlarms,
    *,
    told: Callable[[str], None],
    poll_s: float = POLL_S,
) -> Report:
    """Try `version`, watch it for `settings.bake_s`, make it live. Raises what the store raises for a missing version.

    A gallery below its recall floor, of another size, or damaged is not tried at all; an alarm ends the trial.
    """
    diary = Diary(told)
    pointer = store.live()
    before = "nothing" if pointer is None else pointer.live.gallery
    if before == version:
        return Report(Outcome.UNCHANGED, before=before, asked=version, serving=version)
    if ringing := alarms.ringing():
        raise CloudError(f"{ringing[0]}; nothing is rolled out while the served gallery is in trouble")

    def ended(outcome: Outcome, why: str = "") -> Report:
        now = store.live()
        serving = "nothing" if now is None else now.live.gallery
        return Report(outcome, before=before, asked=version, serving=serving, why=why, stages=tuple(diary.stages))

    try:
        store.canary(version, share=settings.share, gate=gate_of(settings))
    except (GateError, GalleryError) as error:
        return ended(Outcome.ROLLED_BACK, str(error))
    diary.note(f"gallery {version} is on trial with {settings.share:.0%} of the replicas, {before} serves the others")
    why = _watch(store, version, alarms, bake_s=settings.bake_s, poll_s=poll_s)
    if why:
        if _on_trial(store, version):
            store.drop()
        diary.note(why)
        return ended(Outcome.ROLLED_BACK, why)
    store.promote(expected=before)
    diary.note(f"gallery {version} is live everywhere")
    return ended(Outcome.LIVE)


def _watch(store: Store, version: str, alarms: RollbackAlarms, *, bake_s: float, poll_s: float) -> str:
    """Why the trial has to end, empty when it passed."""
    until_s = time.monotonic() + bake_s
    while True:
        if ringing := alarms.ringing():
            return "; ".join(str(alarm) for alarm in ringing)
        if not _on_trial(store, version):
            raise ConflictError(
                f"somebody else ended the trial of gallery {version}; look at the store before going on"
            )
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            return ""
        time.sleep(min(poll_s, left_s))


def _on_trial(store: Store, version: str) -> bool:
    pointer = store.live()
    return pointer is not None and pointer.canary is not None and pointer.canary.gallery == version
