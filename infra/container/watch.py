"""An address in, how it has been answering out; a thread of its own asks, so that no slow answer holds others up."""

from __future__ import annotations

import http.client
import threading
import time
from urllib.parse import urlsplit


class Watch:
    """Asks `url` every `pause_s` seconds from the moment it is made until `stop`; 200 is well, all else is not.

    With `forgiving`, no answer at all says nothing: that is for who asks somebody else about a third one.
    """

    def __init__(self, url: str, *, pause_s: float, timeout_s: float, forgiving: bool = False) -> None:
        self.url = url
        self._forgiving = forgiving
        self._pause_s = pause_s
        self._timeout_s = timeout_s
        self._begun_at = time.monotonic()
        self._well_at: float | None = None
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name=f"watch {url}", daemon=True).start()

    @property
    def was_well(self) -> bool:
        """Whether it has ever been well."""
        return self._well_at is not None

    def unwell_s(self) -> float:
        """Seconds since it was well, or since it was first asked; what a well one says is at most its pause."""
        return time.monotonic() - (self._begun_at if self._well_at is None else self._well_at)

    def stop(self) -> None:
        """Ask no more; the thread ends after its last answer."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            status = status_of(self.url, timeout_s=self._timeout_s)
            if status == http.client.OK or (status is None and self._forgiving and self.was_well):
                self._well_at = time.monotonic()
            self._stopped.wait(self._pause_s)


def status_of(url: str, *, timeout_s: float) -> int | None:
    """The status of a GET, None when there is no answer in time."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
