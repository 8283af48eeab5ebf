"""FastAPI and uvicorn, as their documentation begins: a plain `def` route, which runs in a pool of threads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Form, UploadFile

from benchmarks.serving.peers.search import PeerOptions, PeerSearch

REPOSITORY, GALLERY, THREADS = "PEER_REPOSITORY", "PEER_GALLERY", "PEER_THREADS"


def make_app() -> FastAPI:
    """Return the app; uvicorn calls this in each of its workers, which know their options by the environment."""
    repository, gallery = Path(os.environ[REPOSITORY]), Path(os.environ[GALLERY])
    search = PeerSearch(repository, gallery, threads=int(os.environ[THREADS]))
    app = FastAPI()

    @app.post("/search")
    def answer(image: UploadFile, top_k: Annotated[int, Form()] = 10) -> dict[str, Any]:
        """Search with a photo."""
        return search.answer(image.file.read(), top_k=top_k)

    return app


if __name__ == "__main__":
    options = PeerOptions.parse(__doc__ or "")
    os.environ |= {
        REPOSITORY: str(options.repository.resolve()),
        GALLERY: str(options.gallery.resolve()),
        THREADS: str(options.threads),
    }
    uvicorn.run(
        "benchmarks.serving.peers.fastapi_server:make_app",
        factory=True,
        port=options.port,
        workers=options.workers,
        access_log=False,
        log_level="warning",
    )
