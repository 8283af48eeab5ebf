"""A look in, the product alone on a transparent ground out, cut to its edges."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image

from catalog.sample.drawing import draw, outline_svg, render
from catalog.sample.look import Look

# Drawing costs far more than scaling, so drawings come in steps; the small ones, asked for again and again as clutter
# and in training, are kept (about 100 kB each).
_STEPS_PX = (64, 96, 128, 192, 256, 320, 384, 448, 512, 640)
_KEPT_PX = 192
_KEPT = 1024


def cutout(look: Look, *, size_px: int) -> Image.Image:
    """The product as RGBA, drawn in a square of at least `size_px` (640 at most), cut to its visible pixels.

    The picture may be shared: copy it before you change it.
    """
    step_px = next((step for step in _STEPS_PX if step >= size_px), _STEPS_PX[-1])
    return _kept(look, step_px) if step_px <= _KEPT_PX else _drawn(look, step_px)


@lru_cache(maxsize=_KEPT)
def _kept(look: Look, size_px: int) -> Image.Image:
    return _drawn(look, size_px)


def _drawn(look: Look, size_px: int) -> Image.Image:
    picture = render(outline_svg(draw(look), size_px=size_px))
    edges = picture.getchannel("A").point([0] * 8 + [255] * 248).getbbox()
    return picture.crop(edges or (0, 0, 1, 1))
