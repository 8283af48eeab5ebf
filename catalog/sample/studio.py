"""A product of the sample shop in, its catalog picture out: one thing on a plain ground, as a shop shows it."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from catalog.sample.cutout import cutout
from catalog.sample.shop import ProductSpec

_OVERSAMPLING = 1.0


def render_product(spec: ProductSpec, rng: np.random.Generator | None = None, *, size_px: int = 256) -> Image.Image:
    """The RGB catalog picture, `size_px` wide and high.

    Without `rng` it is the one picture of the product in the shop, which depends on nothing but `spec`; with `rng`
    another studio view of it: its own turn, size, place, ground and shadow.
    """
    rng = rng if rng is not None else np.random.default_rng(zlib.crc32(spec.product_id.encode()))
    ground = _ground(rng, size_px)
    fill, turn = rng.uniform(0.76, 0.86), rng.normal(0, 1.5)
    product = cutout(spec.look, size_px=int(size_px * _OVERSAMPLING))
    product = product.rotate(float(turn), Image.Resampling.BICUBIC, expand=True)
    scale = fill * size_px / max(product.size)
    product = product.resize(
        (max(1, round(product.width * scale)), max(1, round(product.height * scale))), Image.Resampling.LANCZOS
    )
    slack = np.array([size_px - product.width, size_px - product.height])
    at = slack / 2 + rng.normal(0, 0.008, 2) * size_px - (0, 0.01 * size_px)
    left, top = (int(v) for v in np.clip(np.round(at), 0, slack))
    _drop_shadow(ground, product.getchannel("A"), (left, top), strength=float(rng.uniform(0.7, 1)))
    ground.paste(product.convert("RGB"), (left, top), product.getchannel("A"))
    return ground


def _ground(rng: np.random.Generator, size_px: int) -> Image.Image:
    """White, light gray or a soft gradient, as studios have."""
    kind = rng.random()
    if kind < 0.45:
        return Image.new("RGB", (size_px, size_px), (255, 255, 255))
    if kind < 0.65:
        level = int(rng.integers(236, 248))
        return Image.new("RGB", (size_px, size_px), (level, level, level))
    return Image.fromarray(_gradient(rng, size_px), "RGB")


def _gradient(rng: np.random.Generator, size_px: int) -> NDArray[np.uint8]:
    """Light in the middle or at the top, a little darker and a little colored outward, [size_px, size_px, 3]."""
    y, x = np.meshgrid(np.linspace(-1, 1, size_px), np.linspace(-1, 1, size_px), indexing="ij")
    distance = (x**2 + y**2) / 2 if rng.random() < 0.6 else (y + 1) / 2
    depth = rng.uniform(10, 26)
    tint = np.array([1, 1, 1]) + rng.normal(0, 0.12, 3)
    return np.asarray(np.clip(252 - distance[..., None] * depth * tint, 0, 255), dtype=np.uint8)


def _drop_shadow(ground: Image.Image, alpha: Image.Image, at: tuple[int, int], *, strength: float) -> None:
    """A soft shadow around the product and a dense flat one where it touches the ground."""
    size_px = ground.width
    soft = Image.new("L", ground.size, 0)
    soft.paste(alpha, (at[0], at[1] + round(0.018 * size_px)))
    soft = soft.filter(ImageFilter.GaussianBlur(0.022 * size_px))
    contact = Image.new("L", ground.size, 0)
    height = max(2, round(alpha.height * 0.05))
    flat = alpha.crop((0, int(alpha.height * 0.7), alpha.width, alpha.height)).resize((alpha.width, height))
    contact.paste(flat, (at[0], at[1] + alpha.height - round(height * 0.55)))
    contact = contact.filter(ImageFilter.GaussianBlur(0.012 * size_px))
    for mask, share in ((soft, 0.22), (contact, 0.34)):
        ground.paste((40, 40, 48), (0, 0), mask.point([int(level * share * strength) for level in range(256)]))
