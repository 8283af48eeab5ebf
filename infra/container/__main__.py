"""`python -m infra.container serve | run`: what the image starts; Triton and the service until SIGTERM.

`serve` is what SageMaker calls: IAM lets callers in there, so /invocations asks for no API key. `run` is for every
other platform and opens nothing.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil

from catalog.errors import NotFoundError
from catalog.terminal import run_main
from infra.container.plan import engine_cache, models_of, parts_of
from infra.container.processes import BOUND
from infra.container.restarts import RestartPolicy
from infra.container.settings import ContainerSettings, from_environment
from infra.container.supervisor import Supervisor

logger = logging.getLogger("container")


def main(argv: list[str]) -> int:
    """Run one verb; returns the exit status, raises ShopcamError."""
    parser = argparse.ArgumentParser(prog="python -m infra.container", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("serve", help="Triton and the service, as SageMaker starts them")
    verbs.add_parser("run", help="the same for other platforms: nothing is open that has keys")
    verbs.add_parser("fetch-engines", help="what `run` does first where there is a GPU and an engine store")
    verbs.add_parser("keep-engines", help="what `run` does when Triton is up")
    verb = parser.parse_args(argv).verb
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logger.setLevel(logging.INFO)
    settings = from_environment()
    if verb == "fetch-engines":
        logger.info("%d files of engines fetched from %s", engine_cache(settings).fetch(), settings.engine_store)
    elif verb == "keep-engines":
        logger.info("%d files of engines kept in %s", engine_cache(settings).keep(), settings.engine_store)
    else:
        return _run(settings, invocations_open=verb == "serve")
    return 0


def _run(settings: ContainerSettings, *, invocations_open: bool) -> int:
    if shutil.which(BOUND[0]) is None:
        raise NotFoundError(f"the program {BOUND[0]} is missing; the package util-linux has it")
    models = models_of(settings)
    with_what = "ONNX Runtime" if models.engines is None else f"TensorRT, engines {models.engines}"
    logger.info("models of %s, run by %s", settings.models, with_what)
    parts = parts_of(settings, models, os.environ, invocations_open=invocations_open)
    return Supervisor(parts, RestartPolicy(most=settings.most_failures)).run()


if __name__ == "__main__":
    run_main(main)
