"""`python -m bento serve | search | keys | settings`: run the service, ask a running one, keys, settings."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bento.client import print_hits, print_json, search
from bento.key_commands import add_keys, run_keys
from bento.keys import read_keys
from bento.opening import live_gallery
from bento.server import Service, check_port, interrupted_by_sigterm, serving, triton_for
from bento.settings import SECRETS, Settings, flag, from_environment, settings_table
from catalog.errors import MalformedError, NotFoundError, ShopcamError
from catalog.pictures import PictureLimits, decode
from catalog.terminal import console, run_main
from index_builder.manifest import LabelMode
from index_builder.store import open_store

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
HITS_OF_TRY = 8


def main(argv: list[str]) -> None:
    """Parse and run one verb."""
    parser = argparse.ArgumentParser(prog="python -m bento", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    _add_serve(verbs)
    _add_search(verbs)
    add_keys(verbs)
    verbs.add_parser("settings", help="print every setting as the table of docs/settings.md")
    given = parser.parse_args(argv)
    if given.verb == "serve":
        _serve(given)
    elif given.verb == "search":
        _search(given)
    elif given.verb == "settings":
        print(settings_table(), end="")  # noqa: T201 - what the verb is for
    else:
        run_keys(given)


def _add_serve(verbs: Any) -> None:
    verb = verbs.add_parser(
        "serve",
        help="run the service until Ctrl-C",
        epilog="Each setting is also a variable: --max-bytes is SHOPCAM_MAX_BYTES. Tokens are only "
        "variables: SHOPCAM_ADMIN_TOKEN, SHOPCAM_METRICS_TOKEN.",
    )
    verb.add_argument("--local-triton", action="store_true", help="start Triton here even where its URL is set")
    verb.add_argument("--logs", type=Path, default=Path("runs/logs"), help="folder of the logs [runs/logs]")
    verb.add_argument("--try", dest="photo", type=Path, help="search this photo (or one of this folder) when ready")
    verb.add_argument("--once", action="store_true", help="stop when ready, after --try")
    for name, field in Settings.model_fields.items():
        if name in SECRETS:
            continue
        if field.annotation is bool:
            action: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
        else:
            action = {"metavar": name.rsplit("_", maxsplit=1)[-1].upper()}
        # Values are checked with those of the environment, so that both get the same sentence.
        verb.add_argument(
            flag(name), default=argparse.SUPPRESS, help=f"{field.description} [{field.default}]", **action
        )


def _add_search(verbs: Any) -> None:
    verb = verbs.add_parser("search", help="search a photo through a running service; SHOPCAM_API_KEY is its key")
    verb.add_argument("photo", type=Path)
    verb.add_argument("--url", default="http://127.0.0.1:3000", help="address of the service")
    verb.add_argument("--category", help="a label, the beginning of a category path, or free words")
    verb.add_argument("--box", help="x_min,y_min,x_max,y_max in pixels of the upright photo")
    verb.add_argument("--weight", help="factor between text and image cosine, 0 to 25; default: the gallery's")
    verb.add_argument(
        "--label-mode",
        choices=[mode.value for mode in LabelMode],
        help="how predicted labels enter; default: the gallery's",
    )
    verb.add_argument("--top-k", help="number of hits, 1 to 200 [10]")
    verb.add_argument("--filters", help='JSON that hits must match, such as \'{"price": {"lte": 20}}\'')
    verb.add_argument("--json", action="store_true", help="print the body of the answer")


def _serve(given: argparse.Namespace) -> None:
    flags = {name: getattr(given, name) for name in Settings.model_fields if hasattr(given, name)}
    settings = from_environment(flags=flags)
    local = _starts_triton(settings, asked=given.local_triton)
    # What a person got wrong is told now, not after Triton and the service have started.
    photo = None if given.photo is None else _photo(given.photo, settings.limits)
    if settings.api_keys is not None:
        read_keys(settings.api_keys)
    if not open_store(settings.store).versions():
        live_gallery(settings.store)  # a store that has galleries may get a live one yet
    check_port(settings.host, settings.port)
    try:
        with _running(settings, logs=given.logs, local_triton=local) as service:
            if photo is not None:
                print_hits(search(service.url, photo, {"top_k": HITS_OF_TRY}), photo=photo)
            console.print(f"the page is at {service.url}")
            if not given.once:
                console.print("Ctrl-C stops everything")
                service.wait()
    except KeyboardInterrupt:
        if given.once:
            raise
        console.print("stopped")  # the usual end of a service, at whatever moment it comes


def _starts_triton(settings: Settings, *, asked: bool) -> bool:
    """Whether a Triton is to be started here. MalformedError for two answers to where the networks run."""
    named = "triton_url" in settings.model_fields_set
    if settings.in_process and (asked or named):
        other = "--local-triton" if asked else "--triton-url"
        raise MalformedError(f"--in-process runs the networks in the service; leave {other} out, or --in-process")
    return not settings.in_process and (asked or not named)


@contextlib.contextmanager
def _running(settings: Settings, *, logs: Path, local_triton: bool) -> Iterator[Service]:
    with (
        interrupted_by_sigterm(),
        triton_for(settings, repository=settings.repository if local_triton else None, log_folder=logs) as ready,
        serving(ready, log_folder=logs) as service,
    ):
        yield service


def _photo(path: Path, limits: PictureLimits) -> Path:
    """A photo as it is, or the first of a folder; NotFoundError or MalformedError unless it can be searched with."""
    photo = path
    if path.is_dir():
        found = sorted(photo for photo in path.iterdir() if photo.suffix.lower() in PHOTO_SUFFIXES)
        if not found:
            raise NotFoundError(f"no photo in {path}")
        photo = found[0]
    try:
        decode(photo.read_bytes(), limits=limits)
    except OSError as error:
        raise NotFoundError(f"the photo {photo} cannot be read: {error.strerror}") from None
    except ShopcamError as error:
        raise MalformedError(f"{photo}: {error}") from error
    return photo


def _search(given: argparse.Namespace) -> None:
    names = ("category", "box", "weight", "label_mode", "top_k", "filters")
    answer = search(given.url, given.photo, {name: getattr(given, name) for name in names})
    if given.json:
        print_json(answer)
    else:
        print_hits(answer, photo=given.photo, category=given.category)


if __name__ == "__main__":
    run_main(main)
