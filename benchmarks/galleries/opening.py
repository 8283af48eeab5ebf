"""A published gallery in, the seconds from nothing to its first answer out, each time in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.galleries.measured import anonymous_bytes
from benchmarks.results import Row, Target
from catalog.errors import NotReadyError

ROUNDS = 3
LIMIT_S = 5.0


def opening_rows(folder: Path, count: int) -> list[Row]:
    """Open a gallery as the service does (checksums verified) and as one that was verified before, and ask once."""
    of = f"opening {count:,} products until the first answer"
    whole = [_opened(folder, verify=True) for _ in range(ROUNDS)]
    quick = [_opened(folder, verify=False) for _ in range(ROUNDS)]
    memory = max(bytes_ for _, bytes_ in whole) / 1e6
    return [
        Row(
            of,
            float(np.median([seconds for seconds, _ in whole])),
            "s",
            Target("<=", LIMIT_S),
            f"every checksum verified, files in the page cache; {memory:,.0f} MB of memory besides mapped files",
        ),
        Row(f"{of}, sizes only", float(np.median([seconds for seconds, _ in quick])), "s"),
    ]


def _opened(folder: Path, *, verify: bool) -> tuple[float, int]:
    command = [sys.executable, "-m", "benchmarks.galleries.opening", str(folder), str(int(verify))]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise NotReadyError(f"{folder} could not be opened: {done.stderr.strip().splitlines()[-1:]}")
    seconds, bytes_ = json.loads(done.stdout)
    return seconds, bytes_


def _main(folder: str, verify: str) -> None:
    from index_builder.gallery import Gallery  # imports are no part of opening

    started = time.perf_counter()
    gallery = Gallery.open(Path(folder), verify=bool(int(verify)))
    reference = gallery.manifest.references[0]
    hits = gallery.search(np.array([reference.image_vector], np.float32), None, weight=0.0, top_k=10)
    gallery.rows(hits.rows[0])
    seconds = time.perf_counter() - started
    sys.stdout.write(json.dumps([seconds, anonymous_bytes()]))


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2])
