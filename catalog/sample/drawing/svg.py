"""A fragment goes in; a whole SVG document, then its pixels, come out."""

from __future__ import annotations

import io

from PIL import Image


def outline_svg(fragment: str, *, size_px: int, background: str = "none", transform: str = "") -> str:
    """A square document of `size_px` around a fragment drawn in a 100 x 100 box.

    `background` is any SVG fill ("none" stays transparent); `transform` is an SVG transform in the units of the box.
    """
    ground = "" if background in ("", "none") else f'<rect width="100" height="100" fill="{background}"/>'
    placed = f'<g transform="{transform}">{fragment}</g>' if transform else fragment
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{size_px}" height="{size_px}" viewBox="0 0 100 100">'
    return f"{head}{ground}{placed}</svg>"


def render(svg: str) -> Image.Image:
    """The RGBA picture of an SVG document, in the size that the document asks for."""
    # Late, so that catalogs can be read on a machine without the renderer.
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")
