"""The verbs of rollouts: a release (models and their galleries), a gallery alone, and the way back of each."""

from __future__ import annotations

import argparse
from pathlib import Path

from catalog.errors import MalformedError, NotFoundError
from catalog.terminal import console
from index_builder.store import Store
from infra.alarms import RollbackAlarms
from infra.aws import cloud_errors
from infra.deployment import Deployment
from infra.gallery_rollout import roll_out_gallery
from infra.models import upload_models
from infra.pieces import STORE, Release
from infra.preflight import gallery_store
from infra.reports import Outcome, Report
from infra.rollout import Rollout
from infra.tables import print_report
from infra.verbs import serving_deployment

Verbs = argparse._SubParsersAction  # its name is argparse's own


def add_rollouts(rollout: argparse.ArgumentParser, shared: argparse.ArgumentParser) -> None:
    """Add the verbs below `rollout`."""
    verbs = rollout.add_subparsers(dest="rolled", required=True, metavar="WHAT")
    pair = _verb(verbs, "pair", _pair, shared)
    pair.add_argument("--models", help="model repository: a folder, or s3://bucket/prefix/ (default: those served now)")
    pair.add_argument(
        "--galleries", help="store of the galleries these models made, s3://bucket/prefix (default: same)"
    )
    pair.add_argument("--image", help="container image in ECR (default: the one served now)")
    gallery = _verb(verbs, "gallery", _gallery, shared)
    gallery.add_argument("version")
    gallery.add_argument("--share", type=float, help="of the replicas that try it first (default: the profile's)")
    gallery.add_argument("--bake-s", type=int, help="how long alarms are watched (default: the profile's)")
    back = _verb(verbs, "back", _back, shared)
    back.add_argument("--gallery", action="store_true", help="only the gallery, not image and models")


def _pair(options: argparse.Namespace) -> int:
    """Serve other models with their galleries, or another image, step by step; an alarm brings the old ones back."""
    deployment = serving_deployment(options)
    live = deployment.release()
    missing = [name for name in ("models", "galleries", "image") if live is None and not getattr(options, name)]
    if missing:
        raise MalformedError(f"a first rollout needs --{missing[0]}, since nothing is served yet")
    release = Release(
        image_uri=options.image or (live.image_uri if live else ""),
        models_uri=_models_uri(deployment, options.models) if options.models else (live.models_uri if live else ""),
        store_uri=options.galleries or (live.store_uri if live else ""),
    )
    return _told(options, Rollout(deployment, told=_say).run(release))


def _gallery(options: argparse.Namespace) -> int:
    """Try a published gallery on a share of the replicas, watch the alarms, and make it live everywhere."""
    deployment = serving_deployment(options)
    asked = {"share": options.share, "bake_s": options.bake_s}
    given = {name: value for name, value in asked.items() if value is not None}
    settings = deployment.profile.gallery.with_values(given)
    alarms = RollbackAlarms(deployment.clients, deployment.profile.endpoint_name)
    report = roll_out_gallery(_served_store(deployment), options.version, settings, alarms, told=_say)
    return _told(options, report)


def _back(options: argparse.Namespace) -> int:
    """Serve again what was served before: the release, or with --gallery only the gallery."""
    deployment = serving_deployment(options)
    if options.gallery:
        store = _served_store(deployment)
        pointer = store.rollback()
        before = pointer.previous.gallery if pointer.previous else "nothing"
        live = pointer.live.gallery
        return _told(options, Report(Outcome.LIVE, before=before, asked=live, serving=live))
    return _told(options, Rollout(deployment, told=_say).back())


def _models_uri(deployment: Deployment, models: str) -> str:
    if models.startswith("s3://"):
        return models
    with cloud_errors():
        bucket = deployment.output(STORE, "StoreBucketName")
        return upload_models(deployment.clients("s3"), Path(models), bucket)


def _served_store(deployment: Deployment) -> Store:
    release = deployment.release()
    if release is None:
        raise NotFoundError("nothing is served yet; begin with `rollout pair`")
    return gallery_store(deployment.clients, release.store_uri)


def _told(options: argparse.Namespace, report: Report) -> int:
    print_report(report)
    if options.report is not None:
        report.write(options.report)
    return 1 if report.outcome is Outcome.ROLLED_BACK else 0


def _verb(
    verbs: Verbs[argparse.ArgumentParser], name: str, run: object, shared: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    text = str(run.__doc__).splitlines()[0]
    parser = verbs.add_parser(name, parents=[shared], help=text, description=text)
    parser.add_argument("--report", type=Path, help="file to write the report to, as JSON")
    parser.set_defaults(run=run)
    return parser


def _say(sentence: str) -> None:
    console.print(sentence, soft_wrap=True, markup=False)
