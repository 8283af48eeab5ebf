"""`python supervised.py SPEC`: the supervisor in a process of its own, with the parts and the policy of a JSON file."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from infra.container.part import Part
from infra.container.restarts import RestartPolicy
from infra.container.supervisor import Supervisor


def part(spec: dict[str, Any]) -> Part:
    lists = {name: tuple(spec[name]) for name in ("command", "needs") if name in spec}
    return Part(environment=os.environ, **(spec | lists))


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    sys.exit(Supervisor([part(spec) for spec in given["parts"]], RestartPolicy(**given["policy"])).run())
