"""A part of a container as small as it can be: `python -I -S server.py NAME PORT FOLDER [HABIT ...]`.

Answers /up with 200, and /canary with 503 while FOLDER/NAME.sick exists. Appends "begin" and "end" with the time to
FOLDER/events. Habits: `deaf` never listens, `stubborn` passes over SIGTERM, `short-lived` ends when it is up,
`fertile` starts a process in a session of its own, `brief` ends at once with status 3.
"""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main(name: str, port: str, folder: str, *habits: str) -> None:
    note(folder, name, "begin")
    if "brief" in habits:
        sys.exit(3)
    if "fertile" in habits:
        subprocess.Popen(["sleep", "1000"], start_new_session=True)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sick = self.path == "/canary" and Path(folder, f"{name}.sick").exists()
            self.send_response(503 if sick else 200)
            self.end_headers()
            if "short-lived" in habits:
                os.kill(os.getpid(), signal.SIGKILL)

        def log_message(self, *_: object) -> None:
            pass

    def end(*_: object) -> None:
        note(folder, name, "end")
        if "stubborn" not in habits:
            sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    if "deaf" in habits:
        while True:
            signal.pause()
    http.server.HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


def note(folder: str, name: str, event: str) -> None:
    with Path(folder, "events").open("a") as events:
        events.write(f"{name} {event} {os.getpid()} {time.monotonic()}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
