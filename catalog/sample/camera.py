"""A product of the sample shop in, a shopper's phone photo of it and the product's true box out.

The product is turned in space, laid on a table, held before a room or shown on a screen, among other things, and then
recorded by a phone that may shake, lack light or focus elsewhere (`lens.py`). Most photos show it as the main thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from catalog.rows import Box
from catalog.sample.cutout import cutout
from catalog.sample.lens import draw_capture, expose
from catalog.sample.props import hand, prop
from catalog.sample.scene import Corners, Shadow, backdrop, place, tilted_corners
from catalog.sample.shop import ProductSpec

_SEEN_ALPHA = 48  # a pixel less opaque than this is not yet the product


@dataclass(frozen=True)
class _Pose:
    """How the shopper holds the phone: angles in radians, `share` of the photo that the product's box fills."""

    pitch: float
    yaw: float
    roll: float
    share: float
    fit: float  # the box's sides are at most this share of the photo's


def take_photo(
    spec: ProductSpec,
    rng: np.random.Generator,
    *,
    others: Sequence[ProductSpec] = (),
    size: tuple[int, int] = (640, 480),
    size_px: int | None = None,
) -> tuple[Image.Image, Box]:
    """A photo (RGB) of the product and its box in pixels of the photo; a box is cut where the product leaves the photo.

    `others` may lie around as clutter. `size` is (width, height); `size_px` scales it to that longer side (training).
    Equal arguments and an equal state of `rng` give equal photos.
    """
    if size_px is not None:
        longer = max(size)
        size = (max(1, round(size[0] * size_px / longer)), max(1, round(size[1] * size_px / longer)))
    on_screen = rng.random() < 0.07
    pose = _draw_pose(rng)
    product, hidden = cutout(spec.look, size_px=_render_px(size, pose)), None
    if on_screen:
        product, hidden = _screen(product, rng)
    corners = _placed(product, pose, rng, size)
    scene = backdrop(rng, size)
    shadow = _draw_shadow(rng, min(size))
    _scatter(scene, rng, keep_clear=corners, others=others, shadow=shadow)
    alpha = place(scene, product, corners, shadow=shadow)
    if hidden is not None:
        alpha = place(scene.copy(), hidden, corners, shadow=None)
    box = _box_of(alpha)
    _occlude(scene, rng, corners=corners, shadow=shadow)
    return expose(scene, draw_capture(rng, of_screen=on_screen), rng), box


def _draw_pose(rng: np.random.Generator) -> _Pose:
    kind = rng.random()
    if kind < 0.62:
        roll = rng.normal(0, 0.16)
    elif kind < 0.9:
        roll = rng.uniform(-0.9, 0.9)
    else:
        roll = rng.uniform(-np.pi, np.pi)
    closeness = rng.random()
    share, fit = (rng.uniform(0.3, 0.85), 0.97) if closeness < 0.86 else (rng.uniform(0.1, 0.25), 0.97)
    if closeness > 0.95:
        share, fit = rng.uniform(0.8, 1.1), 1.18
    return _Pose(
        pitch=float(np.clip(rng.normal(0.15, 0.3), -0.5, 0.85)),
        yaw=float(np.clip(rng.normal(0, 0.26), -0.75, 0.75)),
        roll=float(roll),
        share=float(share),
        fit=fit,
    )


def _render_px(size: tuple[int, int], pose: _Pose) -> int:
    """Large enough that the warp rarely enlarges: about the longer side of the box."""
    return int(np.clip(np.sqrt(pose.share * size[0] * size[1]), 96, 384))


def _placed(layer: Image.Image, pose: _Pose, rng: np.random.Generator, size: tuple[int, int]) -> Corners:
    """Corners of the layer: as large as the pose asks and the photo allows, off center within the slack."""
    corners = tilted_corners(layer.width, layer.height, pitch=pose.pitch, yaw=pose.yaw, roll=pose.roll)
    extent = corners.max(axis=0) - corners.min(axis=0)
    scale = min(np.sqrt(pose.share * size[0] * size[1] / extent.prod()), *(pose.fit * np.array(size) / extent))
    slack = np.abs(np.array(size) - extent * scale) / 2
    offset = np.clip(rng.normal(0, 0.45, 2), -0.95, 0.95) * slack
    return np.asarray(corners * scale + np.array(size) / 2 + offset, dtype=np.float64)


def _screen(product: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """The product's catalog picture on a phone or monitor, and the same layer with all but the product transparent."""
    side = int(max(product.size) * 1.22)
    bezel = max(4, int(side * rng.uniform(0.03, 0.07)))
    full = (side + 2 * bezel, int(side * rng.uniform(1.0, 1.25)) + 2 * bezel)
    screen = Image.new("RGBA", full, (0, 0, 0, 0))
    pen = ImageDraw.Draw(screen)
    body = int(rng.integers(14, 46))
    pen.rounded_rectangle((0, 0, full[0] - 1, full[1] - 1), radius=bezel, fill=(body, body, body + 3, 255))
    pen.rectangle((bezel, bezel, full[0] - bezel, full[1] - bezel), fill=(244, 246, 250, 255))
    for row in range(3):  # lines of text under the picture, where there is room
        top = bezel + side + 8 + row * 14
        if top + 8 < full[1] - bezel:
            pen.rectangle(
                (bezel + 12, top, bezel + int(side * rng.uniform(0.3, 0.8)), top + 5), fill=(150, 154, 160, 255)
            )
    at = (bezel + (side - product.width) // 2, bezel + (side - product.height) // 2)
    screen.alpha_composite(product, at)
    alone = Image.new("RGBA", full, (0, 0, 0, 0))
    alone.paste(product, at)
    return screen, alone


def _draw_shadow(rng: np.random.Generator, short_px: int) -> Shadow:
    angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.005, 0.035) * short_px
    return Shadow(
        dx=float(np.cos(angle) * length),
        dy=float(np.sin(angle) * length),
        blur=float(rng.uniform(0.008, 0.03) * short_px),
        strength=float(rng.uniform(0.3, 0.65)),
    )


def _scatter(
    scene: Image.Image,
    rng: np.random.Generator,
    *,
    keep_clear: Corners,
    others: Sequence[ProductSpec],
    shadow: Shadow,
) -> None:
    """Lay up to four things beside the product: never over its middle, often half out of the photo."""
    short_px, middle = min(scene.size), keep_clear.mean(axis=0)
    reach = (keep_clear.max(axis=0) - keep_clear.min(axis=0)) / 2
    for _ in range(int(rng.choice([0, 1, 2, 3, 4], p=[0.25, 0.2, 0.25, 0.2, 0.1]))):
        side = short_px * rng.uniform(0.18, 0.5)
        if others and rng.random() < 0.6:
            layer = cutout(others[int(rng.integers(len(others)))].look, size_px=max(48, int(side)))
        else:
            layer = prop(rng, size_px=max(48, int(side)))
        angle = rng.uniform(0, 2 * np.pi)
        direction = np.array([np.cos(angle), np.sin(angle)])
        center = middle + direction / np.abs(direction).max() * (reach + side * rng.uniform(0.05, 0.45))
        if ((center < -0.4 * side) | (center > np.array(scene.size) + 0.4 * side)).any():
            continue  # it would not be seen
        corners = tilted_corners(
            layer.width, layer.height, pitch=float(rng.uniform(0, 0.5)), yaw=0, roll=float(rng.uniform(-np.pi, np.pi))
        )
        scale = side / max(layer.size)
        place(scene, layer, corners * scale + center, shadow=shadow)


def _occlude(scene: Image.Image, rng: np.random.Generator, *, corners: Corners, shadow: Shadow) -> None:
    """Now and then a hand reaches in from outside and touches the product's edge, covering little of it."""
    if rng.random() > 0.2:
        return
    short_px = min(scene.size)
    reach = (corners.max(axis=0) - corners.min(axis=0)) / 2
    angle = rng.uniform(0.1 * np.pi, 0.9 * np.pi)  # y grows downward: arms come from below or the sides
    away = np.array([np.cos(angle), np.sin(angle)])
    tip = corners.mean(axis=0) + away / np.abs(away / reach).max() * rng.uniform(0.75, 1.0)
    width = min(short_px * rng.uniform(0.3, 0.44), reach.max())  # a small product is far away, and so is the hand
    arm = hand(rng, width_px=max(16, int(width)))
    turn = np.array([[away[1], -away[0]], [away[0], away[1]]])  # columns: across and along the arm
    flat = np.array([[-0.5, 0], [0.5, 0], [0.5, 3], [-0.5, 3]]) * arm.width
    place(scene, arm, flat @ turn.T + tip, shadow=shadow)


def _box_of(alpha: Image.Image) -> Box:
    """The visible product's rectangle; the whole photo where nothing of it is seen, which poses do not allow."""
    edges = alpha.point([0] * _SEEN_ALPHA + [255] * (256 - _SEEN_ALPHA)).getbbox()
    return Box(*(float(edge) for edge in edges or (0, 0, *alpha.size)))
