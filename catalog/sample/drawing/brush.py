"""The state of one drawing: its look, its own stream of proportions, its definitions and its elements in order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from catalog.sample.look import Look

T = TypeVar("T")
Stops = Sequence[tuple[float, str] | tuple[float, str, float]]

# The fraction of a multiple of a uniform number is nearly independent of it: eight numbers become a long stream.
_MULTIPLES = (1, 17, 131, 1031, 8209, 65537)


class Brush:
    """Collects paths and definitions; `svg()` gives the fragment."""

    def __init__(self, look: Look, prefix: str) -> None:
        self.look = look
        self.color = look.color_hex
        self.second = look.second_hex
        self._prefix = prefix
        self._drawn = 0
        self._defined = 0
        self._definitions: list[str] = []
        self._elements: list[str] = []

    def vary(self, low: float, high: float) -> float:
        """The next number of the product's own stream, in [low, high)."""
        numbers = self.look.jitter
        multiple = _MULTIPLES[self._drawn // len(numbers) % len(_MULTIPLES)]
        share = numbers[self._drawn % len(numbers)] * multiple % 1.0
        self._drawn += 1
        return low + (high - low) * share

    def pick(self, options: Sequence[T]) -> T:
        """The next choice of the product's own stream."""
        return options[int(self.vary(0, len(options)))]

    def define(self, tag: str, attributes: str, content: str) -> str:
        """Put `<tag id=... attributes>content</tag>` under the definitions and return "url(#id)"."""
        self._defined += 1
        name = f"{self._prefix}-{self._defined}"
        self._definitions.append(f'<{tag} id="{name}" {attributes}>{content}</{tag}>')
        return f"url(#{name})"

    def linear(self, stops: Stops, *, down: float = 1.0, right: float = 0.0) -> str:
        """A gradient across the box of what it fills, from its upper left in the direction (right, down)."""
        return self.define("linearGradient", f'x1="0" y1="0" x2="{right}" y2="{down}"', _stop_tags(stops))

    def radial(self, stops: Stops, *, x: float = 0.35, y: float = 0.3, radius: float = 0.75) -> str:
        """A round gradient around (x, y), in shares of the box of what it fills."""
        return self.define("radialGradient", f'cx="{x}" cy="{y}" r="{radius}"', _stop_tags(stops))

    def blur(self, deviation: float) -> str:
        """A blur filter, for `filter=`."""
        area = 'x="-30%" y="-30%" width="160%" height="160%"'
        return self.define("filter", area, f'<feGaussianBlur stdDeviation="{deviation}"/>')

    def clip(self, path: str) -> str:
        """A clip to the inside of `path`, for `clip_path=`."""
        return self.define("clipPath", "", f'<path d="{path}" clip-rule="evenodd"/>')

    def fill(self, path: str, paint: str, **attributes: float | str) -> None:
        """Fill `path`; holes by even-odd."""
        self.add(f'<path d="{path}" fill="{paint}" fill-rule="evenodd"{_attributes(attributes)}/>')

    def line(self, path: str, color: str, width: float, **attributes: float | str) -> None:
        """Stroke `path` with round ends."""
        round_ends = 'stroke-linecap="round" stroke-linejoin="round"'
        rest = _attributes(attributes)
        self.add(f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{width}" {round_ends}{rest}/>')

    def add(self, element: str) -> None:
        """Append one ready element."""
        self._elements.append(element)

    @contextmanager
    def group(self, **attributes: float | str) -> Iterator[None]:
        """Everything drawn inside shares these attributes (transform, clip_path, filter, opacity, ...)."""
        self.add(f"<g{_attributes(attributes)}>")
        yield
        self.add("</g>")

    def svg(self) -> str:
        """The fragment; numbers are cut to two decimals, far below a pixel."""
        text = f"<g><defs>{''.join(self._definitions)}</defs>{''.join(self._elements)}</g>"
        return re.sub(r"(\.\d\d)\d+", r"\1", text)


def _attributes(values: dict[str, float | str]) -> str:
    return "".join(f' {name.replace("_", "-")}="{value}"' for name, value in values.items())


def _stop_tags(stops: Stops) -> str:
    tags = []
    for offset, color, *opacity in stops:
        tail = f' stop-opacity="{opacity[0]}"' if opacity else ""
        tags.append(f'<stop offset="{offset}" stop-color="{color}"{tail}/>')
    return "".join(tags)
