"""LitServe: one HTTP process, and workers that take photos from its queue, one by one or in batches.

Annotations are no strings here: LitServe looks at the class of `request`.
"""

from typing import Any

import litserve
from fastapi import Request

from benchmarks.serving.peers.search import PeerOptions, PeerSearch

BATCH_TIMEOUT_S = 0.01


class SearchApi(litserve.LitAPI):  # type: ignore[misc]  # LitServe is untyped here
    """The search in each worker."""

    def __init__(self, options: PeerOptions) -> None:
        super().__init__(api_path="/search", max_batch_size=options.batch, batch_timeout=BATCH_TIMEOUT_S)
        self._options = options

    def setup(self, device: str) -> None:  # noqa: ARG002  # LitServe names it
        """Open networks and index."""
        self._search = PeerSearch(self._options.repository, self._options.gallery, threads=self._options.threads)

    def decode_request(self, request: Request) -> tuple[bytes, int]:
        """Take photo and top_k out of a form."""
        return request["image"].file.read(), int(request.get("top_k", "10"))

    def predict(self, asked: Any) -> Any:
        """Answer one photo, or a batch of them in the order given."""
        if self._options.batch == 1:
            photo, top_k = asked
            return self._search.answer(photo, top_k=top_k)
        photos, top_ks = zip(*asked, strict=True)
        found = self._search.answers(list(photos), top_k=max(top_ks))
        return [{**one, "hits": one["hits"][:top_k]} for one, top_k in zip(found, top_ks, strict=True)]

    def batch(self, inputs: list[Any]) -> list[Any]:
        """Leave a batch as the list that it is."""
        return inputs

    def unbatch(self, output: list[Any]) -> list[Any]:
        """Leave answers as the list that they are."""
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Send what `predict` found."""
        return output


if __name__ == "__main__":
    options = PeerOptions.parse(__doc__ or "")
    server = litserve.LitServer(
        SearchApi(options), accelerator="cpu", devices=1, workers_per_device=options.workers, timeout=60
    )
    server.run(host="127.0.0.1", port=options.port, num_api_servers=1, generate_client_file=False, log_level="warning")
