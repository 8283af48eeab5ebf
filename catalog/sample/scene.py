"""Surfaces, cutouts and corners in, a scene put together layer by layer out: what lies where, unphotographed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from catalog.sample.textures import TILE_PX, VARIANTS, surface, surface_names

Corners = NDArray[np.float64]  # [4, 2], x and y in pixels: top left, top right, bottom right, bottom left of a layer

_SHADOW_COARSENESS = 4


@dataclass(frozen=True)
class Shadow:
    """A soft shadow: `dx`, `dy` and `blur` in pixels of the photo, `strength` in [0, 1]."""

    dx: float
    dy: float
    blur: float
    strength: float


def tilted_corners(
    width: float, height: float, *, pitch: float, yaw: float, roll: float, distance: float = 3.0
) -> Corners:
    """Corners of a flat `width` x `height` thing turned in space (radians), seen from `distance` times its longer side.

    The result is centered on the origin. `pitch` leans the top edge away, `yaw` turns the right edge away, `roll`
    turns in the plane.
    """
    flat = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width / 2, height / 2)
    x, y = flat[:, 0] * np.cos(yaw), flat[:, 1] * np.cos(pitch)
    depth = flat[:, 0] * np.sin(yaw) - flat[:, 1] * np.sin(pitch)
    seen = np.stack([x, y], axis=1) / (1 + depth / (distance * max(width, height)))[:, None]
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    turned = seen @ turn
    return np.asarray(turned - (turned.min(axis=0) + turned.max(axis=0)) / 2, dtype=np.float64)


def warp(layer: Image.Image, corners: Corners) -> tuple[Image.Image, tuple[int, int]]:
    """The layer drawn through `corners` as a picture just large enough, and where its top left pixel belongs."""
    left, top = (int(v) for v in np.floor(corners.min(axis=0)) - 1)
    right, bottom = (int(v) for v in np.ceil(corners.max(axis=0)) + 1)
    source = np.array([[0, 0], [layer.width, 0], [layer.width, layer.height], [0, layer.height]], dtype=np.float64)
    coefficients = _perspective(corners - (left, top), source)
    size = (max(1, right - left), max(1, bottom - top))
    return layer.transform(size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC), (left, top)


def place(scene: Image.Image, layer: Image.Image, corners: Corners, *, shadow: Shadow | None) -> Image.Image:
    """Paint the RGBA layer onto the RGB scene in place, over its shadow; returns its alpha, as large as the scene."""
    warped, at = warp(layer, corners)
    alpha = Image.new("L", scene.size, 0)
    alpha.paste(warped.getchannel("A"), at)
    if shadow is not None:
        _darken(scene, alpha, shadow)
    scene.paste(warped.convert("RGB"), at, warped.getchannel("A"))
    return alpha


def backdrop(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """What is behind everything: a surface from above, a table before a wall, or a room out of focus; RGB of `size`."""
    kind = rng.random()
    if kind < 0.62:
        return _laid(rng, size, _any_name(rng))
    if kind < 0.82:
        scene = _laid(rng, size, ("wall", "tiles", "linen", "wood")[int(rng.integers(4))], turned=False)
        horizon = int(size[1] * rng.uniform(0.2, 0.6))
        table = _laid(
            rng,
            (size[0], size[1] - horizon),
            ("wood", "tabletop", "table cloth", "stone", "marble")[int(rng.integers(5))],
            turned=False,
        )
        edge = scene.filter(ImageFilter.GaussianBlur(min(size) * 0.006))
        edge.paste(table, (0, horizon))
        return edge
    return _room(rng, size)


def _any_name(rng: np.random.Generator) -> str:
    names = surface_names()
    return names[int(rng.integers(len(names)))]


def _laid(rng: np.random.Generator, size: tuple[int, int], name: str, *, turned: bool = True) -> Image.Image:
    """A piece of a surface in perspective, its far edge at the top, with a cast of its own."""
    halvings = 1 if max(size) <= 360 else 0
    tile = surface(name, int(rng.integers(VARIANTS)), halvings=halvings)
    far, ratio = rng.uniform(1, 1.5), size[1] / size[0]
    corners = np.array([[-far, -ratio * far], [far, -ratio * far], [1, ratio], [-1, ratio]])
    roll = rng.uniform(0, 2 * np.pi) if turned else rng.choice([0.0, np.pi])
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    corners = corners @ turn
    corners = (corners / np.abs(corners).max() * rng.uniform(0.6, 0.98) + 1) / 2 * (TILE_PX >> halvings)
    frame = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], dtype=np.float64)
    laid = tile.transform(size, Image.Transform.PERSPECTIVE, _perspective(frame, corners), Image.Resampling.BILINEAR)
    return laid.point(_cast(rng))


def _room(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A room far behind a thing held in the air: two surfaces and blobs of light, all out of focus; drawn coarse."""
    small = (max(8, size[0] // 4), max(8, size[1] // 4))
    scene = _laid(rng, small, ("wall", "wood", "linen", "grass")[int(rng.integers(4))], turned=False)
    pen = ImageDraw.Draw(scene)
    for _ in range(int(rng.integers(3, 9))):
        x, y, w, h = rng.uniform(-0.1, 1, 4) * (small[0], small[1], small[0] * 0.5, small[1] * 0.7)
        color = tuple(int(v) for v in rng.uniform(30, 225) + rng.normal(0, 22, 3))
        if rng.random() < 0.6:
            pen.rectangle((x, y, x + abs(w), y + abs(h)), fill=color)
        else:
            pen.ellipse((x, y, x + abs(h) * 0.4, y + abs(h) * 0.4), fill=color)
    soft = scene.filter(ImageFilter.GaussianBlur(min(small) * float(rng.uniform(0.03, 0.07))))
    return soft.resize(size, Image.Resampling.BICUBIC)


def _cast(rng: np.random.Generator) -> list[int]:
    gains = rng.uniform(0.86, 1.08) * rng.normal(1, 0.03, 3)
    return [min(255, int(level * gain)) for gain in gains for level in range(256)]


def _darken(scene: Image.Image, alpha: Image.Image, shadow: Shadow) -> None:
    """Shadows are smooth, so they are blurred at a quarter of the size."""
    coarse = _SHADOW_COARSENESS
    mask = alpha.reduce(coarse)
    moved = Image.new("L", mask.size, 0)
    moved.paste(mask, (round(shadow.dx / coarse), round(shadow.dy / coarse)))
    moved = moved.filter(ImageFilter.GaussianBlur(max(0.5, shadow.blur / coarse)))
    moved = moved.point([int(level * shadow.strength) for level in range(256)])
    scene.paste((16, 14, 14), (0, 0), moved.resize(scene.size, Image.Resampling.BILINEAR))


def _perspective(output: Corners, source: Corners) -> Sequence[float]:
    """Pillow's eight coefficients: where in `source` each pixel of the output comes from."""
    rows, values = [], []
    for (x, y), (u, v) in zip(output, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows), np.array(values))]
