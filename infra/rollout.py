"""A release in; it serves, or the old one does as before and the report says why.

The shift itself is SageMaker's or ECS's: a change set gives the endpoint the new release, its DeploymentConfig moves
the traffic step by step, an alarm or a replica that does not become healthy takes it back, and CloudFormation follows.
What is done here is to look before, to watch, and to tell. So a rollout goes on when this program is stopped; run
again, it watches on.
"""

from __future__ import annotations

from collections.abc import Callable

from catalog.errors import NotFoundError
from infra.alarms import Alarm, RollbackAlarms
from infra.aws import CloudError, cloud_errors
from infra.deployment import Deployment
from infra.pieces import SERVING, STORE, Release
from infra.preflight import require_sound
from infra.releases import Releases, shown
from infra.reports import Diary, Outcome, Report
from infra.serving_progress import serving_progress
from infra.stack import STANDING, Stack, Standing


class Rollout:
    """Rollouts of one deployment. `told` hears what happens, as it happens."""

    def __init__(self, deployment: Deployment, *, told: Callable[[str], None]) -> None:
        self._deployment = deployment
        self._told = told
        self._alarms = RollbackAlarms(deployment.clients, deployment.profile.endpoint_name)

    def run(self, release: Release, *, back: bool = False) -> Report:
        """Serve `release`. Raises CloudError where AWS refuses, before anything starts what `require_sound` raises.

        `back` is for a release that served before: alarms that ring do not keep it out, nor take it back.
        """
        diary = Diary(self._told)
        deployment, stack = self._deployment, self._deployment.stack(SERVING)
        if (at_work := stack.look()) is not None and at_work.busy:
            diary.note("an earlier rollout is still at work, and is watched to its end")
            return self._finish(stack, diary, before=None, asked=release)
        before = deployment.release()
        gallery = require_sound(deployment.clients, release, deployment.profile.gallery)
        diary.note(f"image, models and gallery {gallery} fit together")
        if before is not None and not back:
            self._require_quiet()
        piece = deployment.piece(SERVING)
        watched = None if release == before else not back
        plan = stack.begin(piece.template, deployment.values(piece, release, watched=watched))
        if not plan.needed:
            self._settled(stack, release)
            return self._report(Outcome.UNCHANGED, diary, before=before, asked=release)
        diary.note("the release is handed to CloudFormation")
        return self._finish(stack, diary, before=before, asked=release)

    def back(self) -> Report:
        """Serve what was served before. Raises NotFoundError where nothing was.

        Where an earlier rollout was stopped and has ended since, nobody can know which way is meant: it is noted, and
        told, and nothing is changed.
        """
        live = self._deployment.release()
        with cloud_errors():
            releases = None if live is None else self._releases()
            if live is not None and releases is not None and not releases.noted(live):
                self._settled(self._deployment.stack(SERVING), live)
                why = (
                    "a rollout that was stopped has ended and serves now; go back once more to serve what was before it"
                )
                return self._report(Outcome.UNCHANGED, Diary(self._told), before=live, asked=live, why=why)
            previous = None if releases is None else releases.previous()
        if previous is None:
            raise NotFoundError("nothing was served before what is served now, so there is no way back")
        return self.run(previous, back=True)

    def _require_quiet(self) -> None:
        """An alarm that rings already would take any release back, and say nothing about it."""
        if ringing := self._alarms.ringing():
            raise CloudError(f"{ringing[0]}; nothing is rolled out while the served release is in trouble")

    def _finish(self, stack: Stack, diary: Diary, *, before: Release | None, asked: Release) -> Report:
        rang: dict[str, str] = {}

        def look(found: Standing | None) -> None:
            if found is not None and found.busy:
                diary.note(f"{found.state}: {serving_progress(self._deployment.clients, self._deployment.profile)}")
            for alarm in self._ringing():
                rang[alarm.name] = str(alarm)
                diary.note(str(alarm))

        found = stack.settle(look)
        if found is not None and found.state in STANDING:
            served = self._deployment.release()
            self._settled(stack, served or asked)
            outcome = Outcome.LIVE if served == asked else Outcome.UNCHANGED
            why = "" if served == asked else "an earlier rollout ended; run this one again"
            return self._report(outcome, diary, before=before, asked=asked, why=why)
        why = "; ".join([stack.first_failure(), *rang.values()])
        return self._report(Outcome.ROLLED_BACK, diary, before=before, asked=asked, why=why)

    def _settled(self, stack: Stack, release: Release) -> None:
        """What follows a release that serves: the way back is written down, what hangs on it is brought along."""
        stack.protect()
        with cloud_errors():
            self._releases().note(release)
        for piece in self._deployment.pieces:
            if piece.released and piece.part != SERVING:
                self._deployment.up_piece(piece.part, release)

    def _releases(self) -> Releases:
        return Releases(self._deployment.clients("s3"), self._deployment.output(STORE, "StoreBucketName"))

    def _ringing(self) -> list[Alarm]:
        try:
            return self._alarms.ringing()
        except CloudError:
            return []  # a first release makes its alarms while it is watched

    def _report(
        self, outcome: Outcome, diary: Diary, *, before: Release | None, asked: Release, why: str = ""
    ) -> Report:
        serving = self._deployment.release()
        return Report(
            outcome=outcome,
            before=shown(before),
            asked=shown(asked),
            serving=shown(serving),
            why=why,
            stages=tuple(diary.stages),
        )
