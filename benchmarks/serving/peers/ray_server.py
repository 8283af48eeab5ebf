"""Ray Serve: replicas of a deployment behind its HTTP proxy, one CPU each, on a Ray of its own.

Annotations are no strings here: FastAPI could not read them in a replica, which gets this class without the module.
"""

import asyncio
import contextlib
import signal
import threading
from pathlib import Path
from typing import Annotated, Any

import ray
from fastapi import FastAPI, Form, UploadFile
from ray import serve

from benchmarks.serving.peers.search import PeerOptions, PeerSearch

ROOT = Path(__file__).parents[3]
app = FastAPI()


@serve.deployment(max_ongoing_requests=16)
@serve.ingress(app)
class SearchDeployment:
    """The search in each replica; a thread does the work, so that the replica's event loop goes on reading."""

    def __init__(self, options: PeerOptions) -> None:
        self._search = PeerSearch(options.repository, options.gallery, threads=options.threads)

    @app.post("/search")
    async def answer(self, image: UploadFile, top_k: Annotated[int, Form()] = 10) -> dict[str, Any]:
        """Search with a photo."""
        photo = await image.read()
        return await asyncio.to_thread(self._search.answer, photo, top_k=top_k)


def run(options: PeerOptions) -> None:
    """Serve until SIGTERM or Ctrl-C, then end Ray."""
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    environment = {"env_vars": {"PYTHONPATH": str(ROOT)}}
    ray.init(address="local", num_cpus=options.workers + 1, include_dashboard=False, runtime_env=environment)
    with contextlib.suppress(TimeoutError):  # after a minute; the proxy goes on starting, and who waits asks it
        serve.start(http_options={"host": "127.0.0.1", "port": options.port})
    deployment = SearchDeployment.options(num_replicas=options.workers)  # type: ignore[attr-defined]  # made a Deployment above
    serve.run(deployment.bind(options), route_prefix="/")
    over.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    run(PeerOptions.parse(__doc__ or ""))
