"""`python -m index_builder VERB`: build, update, publish, swap, roll back, verify and prune galleries of a store."""

from __future__ import annotations

import argparse

from catalog.terminal import run_main
from index_builder.build_verb import add_build
from index_builder.milvus_verb import add_verb as add_to_milvus
from index_builder.store_verbs import add_verbs
from index_builder.update_verb import add_update


def main(arguments: list[str]) -> int:
    """Run one verb; mistakes are raised as `ShopcamError`."""
    options = _parser().parse_args(arguments)
    code: int | None = options.run(options)
    return code or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m index_builder", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add_build(verbs)
    add_verbs(verbs)
    add_update(verbs)
    add_to_milvus(verbs)
    return parser


if __name__ == "__main__":
    run_main(main)
