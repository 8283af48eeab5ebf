"""What a person sees at a terminal: one-sentence errors, progress with rate and time left. Used by every `__main__`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from catalog.errors import ShopcamError

T = TypeVar("T")

EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130
# What only some verbs need, and the verb of the Makefile that brings it.
EXTRAS = {
    "torch": "make dev-env",
    "torchvision": "make dev-env",
    "onnx": "make dev-env",
    "onnx2torch": "make dev-env",
    "onnxscript": "make dev-env",
    "matplotlib": "make dev-env",
    "tensorboard": "make dev-env",
    "locust": "make dev-env",
    "psutil": "make dev-env",
    "schemathesis": "make dev-env",
    "onnxruntime": "make service-env",
    "faiss": "make service-env",
}

console = Console(stderr=True, highlight=False)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Items a second; blank until there is something to tell."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="dim")


def progress(items: Iterable[T], *, description: str, total: int | None = None) -> Iterator[T]:
    """Yield from `items` under a bar on stderr with count, rate and time left; silent without a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield from bar.track(items, total=total, description=description)


def run_main(main: Callable[[list[str]], int | None]) -> None:
    """Run `main(sys.argv[1:])` and exit: 0 or its code, 2 after a person's mistake (one sentence), 130 after Ctrl-C."""
    try:
        code = main(sys.argv[1:]) or 0
    except ShopcamError as error:
        code = _mistake(str(error))
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        code = _mistake(f"the package {error.name} is not installed; `{extra}` installs it")
    except KeyboardInterrupt:
        console.print("stopped; run the same command again to go on")
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        code = 0
    except OSError as error:
        if error.filename is None:  # not about a path that a person gave
            raise
        code = _mistake(f"{error.filename}: {error.strerror}")
    sys.exit(code)


def _mistake(sentence: str) -> int:
    console.print("[red]error:[/red]", Text(sentence), soft_wrap=True)
    return EXIT_MISTAKE
