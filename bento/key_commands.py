"""`python -m bento keys create | list | revoke`: the key file from a terminal. A running service follows it."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from bento.keys import ID_LENGTH, ApiKey, create_key, read_keys, revoke_key
from bento.routes import DATA_ROUTES
from catalog.errors import MalformedError
from catalog.terminal import console

MAX_DAYS = 36_500


def add_keys(verbs: Any) -> None:
    """Add the verb to the parser of `python -m bento`."""
    verb = verbs.add_parser("keys", help="make, list and revoke the API keys of a key file")
    actions = verb.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="make a key and print it, this once")
    create.add_argument("--name", default="", help="whose key it is, for people")
    create.add_argument("--routes", help=f"what it is for, some of {','.join(DATA_ROUTES)} [all]")
    create.add_argument("--rate-per-s", help="searches a second [as the service's settings have it]")
    create.add_argument("--burst", help="searches at once [two seconds' worth]")
    create.add_argument("--quota-per-day", help="searches a day [as the service's settings have it]")
    create.add_argument("--expires-in-days", help="days until it no longer works [never]")
    revoke = actions.add_parser("revoke", help="let a key no longer work")
    revoke.add_argument("id", help="id of the key, the part between the underscores")
    listing = actions.add_parser("list", help="say which keys there are")
    for action in (create, revoke, listing):
        action.add_argument("--file", type=Path, required=True, help="the key file, the service's SHOPCAM_API_KEYS")


def run_keys(given: argparse.Namespace) -> None:
    """Do what was asked; raises as `bento.keys`."""
    if given.action == "create":
        _create(given)
    elif given.action == "revoke":
        key = revoke_key(given.file, given.id)
        console.print(Text(f"the key {key.id} is revoked in {given.file}"))
    else:
        _list(given.file)


def _create(given: argparse.Namespace) -> None:
    days = _number("--expires-in-days", given.expires_in_days, float)
    if days is not None and not 0 < days <= MAX_DAYS:
        raise MalformedError(f"--expires-in-days is {days:g}, expected more than 0 and at most {MAX_DAYS}")
    now = datetime.now(UTC).replace(microsecond=0)
    key, secret = create_key(
        given.file,
        name=given.name,
        routes=None if given.routes is None else tuple(part.strip() for part in given.routes.split(",")),
        rate_per_s=_number("--rate-per-s", given.rate_per_s, float),
        burst=_number("--burst", given.burst, int),
        quota_per_day=_number("--quota-per-day", given.quota_per_day, int),
        expires_at=None if days is None else now + timedelta(days=days),
    )
    # The key alone on standard output, so that a script can keep it; the words for people beside it.
    sys.stdout.write(secret + "\n")
    sys.stdout.flush()
    console.print(Text(f"the key {key.id} is in {given.file}; it is shown this once and kept nowhere"))


def _list(path: Path) -> None:
    keys, now = read_keys(path), datetime.now(UTC)
    table = Table("id", "name", "state", "routes", "a second", "at once", "a day", "created", "expires", box=None)
    table.columns[0].min_width = ID_LENGTH  # what `revoke` is given, so never cut
    for key in keys.values():
        expires = "never" if key.expires_at is None else f"{key.expires_at:%Y-%m-%d}"
        limits = [_limit(value) for value in (key.rate_per_s, key.burst, key.quota_per_day)]
        cells = [key.id, key.name, _state(key, now), ",".join(key.routes or DATA_ROUTES), *limits]
        table.add_row(*(Text(cell) for cell in [*cells, f"{key.created_at:%Y-%m-%d}", expires]))
    console.print(table)
    console.print(Text(f"{len(keys)} keys in {path}"))


def _limit(value: float | None) -> str:
    return "default" if value is None else f"{value:g}"


def _state(key: ApiKey, now: datetime) -> str:
    if key.disabled:
        return "revoked"
    return "expired" if key.expired(now) else "valid"


def _number(name: str, value: str | None, kind: type[Any]) -> Any:
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError:
        raise MalformedError(f"{name} is {value!r}, expected a number") from None
