"""`python -m infra VERB --profile NAME`: settings in, search in the cloud out (and away again)."""

from __future__ import annotations

import argparse
from pathlib import Path

from catalog.terminal import run_main
from infra import verbs
from infra.pieces import PARTS
from infra.rollout_verbs import add_rollouts
from infra.settings import PROFILES
from infra.simulator.verb import add_simulate, simulate


def main(arguments: list[str]) -> int:
    """Run one verb; returns the exit status, raises ShopcamError."""
    options = _parser().parse_args(arguments)
    code: int = options.run(options)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra", description=__doc__)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--profile", default="dev", help="a table of the settings file (default: %(default)s)")
    shared.add_argument("--region", help="instead of the profile's region")
    shared.add_argument("--endpoint-url", help="instead of AWS, for a local stand-in")
    shared.add_argument("--settings", type=Path, default=PROFILES, help="settings file (default: infra/profiles.toml)")
    added = parser.add_subparsers(required=True, metavar="VERB")
    made = {}
    for run in (verbs.plan, verbs.up, verbs.status, verbs.logs, simulate, verbs.down):
        text = str(run.__doc__).splitlines()[0]
        made[run.__name__] = added.add_parser(run.__name__, parents=[shared], help=text, description=text)
        made[run.__name__].set_defaults(run=run)
    made["plan"].add_argument("--offline", action="store_true", help="ask nobody, even with credentials")
    made["status"].add_argument("--drift", action="store_true", help="also look for what was changed by hand (minutes)")
    made["status"].add_argument("--output", metavar="NAME", help="print one output of the stacks, such as StoreUri")
    made["logs"].add_argument("--since", default="1h", help="such as 30m, 2h or 1d (default: %(default)s)")
    made["logs"].add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    made["logs"].add_argument("--filter", default="", help="a filter pattern of CloudWatch Logs")
    made["logs"].add_argument("--part", choices=PARTS, help="only of this stack")
    add_simulate(made["simulate"])
    made["down"].add_argument("--yes", action="store_true", help="do not ask")
    text = "serve another release or gallery, watched, with the way back"
    add_rollouts(added.add_parser("rollout", help=text, description=text), shared)
    return parser


if __name__ == "__main__":
    run_main(main)
