"""A clean scene in, what a phone would have recorded of it out: light, white balance, blur, noise, moire, JPEG.

Effects are stated relative to the photo's short side, so that a small photo looks like a large one seen from afar.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from catalog.sample.textures import sensor_noise

Frame = NDArray[np.float32]  # [H, W, 3], 0 to 255


@dataclass(frozen=True)
class Capture:
    """How a photo was taken; 0 (1 for `exposure`) switches an effect off. Lengths are shares of the short side."""

    exposure: float
    gains: tuple[float, float, float]  # white balance: red, green, blue
    unevenness: float
    vignette: float
    glare: float
    cast_shadow: float
    defocus: float
    motion: float
    motion_angle: float
    noise: float  # standard deviation of 0 to 255
    moire: float
    sharpen: float
    jpeg_quality: int


def draw_capture(rng: np.random.Generator, *, of_screen: bool = False) -> Capture:
    """Random conditions: mostly a decent photo, now and then one clearly bad thing."""
    dark = rng.random() < 0.15
    soft = rng.random()
    warmth, tint = float(rng.normal(0.02, 0.08)), float(rng.normal(0, 0.025))
    return Capture(
        exposure=float(rng.uniform(0.45, 0.7) if dark else rng.uniform(0.88, 1.2)),
        gains=(1 + warmth, 1 + tint, 1 - warmth),
        unevenness=float(rng.uniform(0.03, 0.3)),
        vignette=float(rng.uniform(0, 0.35)),
        glare=float(rng.uniform(0.2, 0.6) if rng.random() < 0.12 else 0),
        cast_shadow=float(rng.uniform(0.2, 0.45) if rng.random() < 0.15 else 0),
        defocus=float(rng.uniform(0.003, 0.0075) if soft < 0.2 else rng.uniform(0, 0.002)),
        motion=float(rng.uniform(0.01, 0.032) if soft > 0.88 else 0),
        motion_angle=float(rng.uniform(0, np.pi)),
        noise=float(rng.uniform(7, 18) if dark else rng.uniform(0.8, 5)),
        moire=float(rng.uniform(5, 13) if of_screen else 0),
        sharpen=float(rng.uniform(40, 130) if rng.random() < 0.35 else 0),
        jpeg_quality=int(rng.integers(28, 62) if rng.random() < 0.3 else rng.integers(62, 93)),
    )


def expose(scene: Image.Image, capture: Capture, rng: np.random.Generator) -> Image.Image:
    """The RGB scene as the phone stored it, same size."""
    short_px = min(scene.size)
    frame = np.asarray(_blur(scene, capture, short_px=short_px), dtype=np.float32)
    frame = frame * _light(scene.size, capture, rng)
    if capture.glare:
        frame = _add_glare(frame, capture.glare, rng)
    if capture.moire:
        frame = _add_moire(frame, capture.moire, rng)
    frame = frame * (np.array(capture.gains, np.float32) * np.float32(capture.exposure))
    frame += _noise_for(frame, capture.noise, rng)
    stored = Image.fromarray(np.clip(frame, 0, 255).astype(np.uint8), "RGB")
    if capture.sharpen:
        stored = stored.filter(ImageFilter.UnsharpMask(radius=max(1.0, short_px / 300), percent=int(capture.sharpen)))
    return _through_jpeg(stored, capture.jpeg_quality)


def _blur(scene: Image.Image, capture: Capture, *, short_px: int) -> Image.Image:
    if capture.defocus * short_px > 0.3:
        scene = scene.filter(ImageFilter.GaussianBlur(capture.defocus * short_px))
    length = capture.motion * short_px
    if length < 1:
        return scene
    step = length / 7, capture.motion_angle
    # Three averages of two shifted copies are a box of eight taps along the path.
    for doubling in (4, 2, 1):
        dx, dy = step[0] * doubling * np.cos(step[1]), step[0] * doubling * np.sin(step[1])
        scene = Image.blend(scene, _shifted(scene, dx=round(float(dx)), dy=round(float(dy))), 0.5)
    return scene


def _shifted(scene: Image.Image, *, dx: int, dy: int) -> Image.Image:
    pixels = np.asarray(scene)
    columns = np.clip(np.arange(scene.width) - dx, 0, scene.width - 1)
    rows = np.clip(np.arange(scene.height) - dy, 0, scene.height - 1)
    return Image.fromarray(pixels[rows][:, columns], "RGB")


def _light(size: tuple[int, int], capture: Capture, rng: np.random.Generator) -> Frame:
    """Uneven light, vignette and a cast shadow as one factor, [H, W, 1]; computed coarse, since light is smooth."""
    side = 48
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * x + np.sin(angle) * y
    factor = 1 + capture.unevenness * slope - capture.vignette * 0.5 * (x**2 + y**2)
    edge_angle, edge_at = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.7)
    if capture.cast_shadow:
        distance = np.cos(edge_angle) * x + np.sin(edge_angle) * y - edge_at
        factor *= 1 - capture.cast_shadow / (1 + np.exp(-distance / 0.05))
    field = Image.fromarray(factor.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(field, dtype=np.float32)[..., None]


def _add_glare(frame: Frame, strength: float, rng: np.random.Generator) -> Frame:
    side = 48
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    center, width = rng.uniform(-0.8, 0.8, 2), rng.uniform(0.1, 0.3, 2)
    spot = strength * np.exp(-(((x - center[0]) / width[0]) ** 2) - ((y - center[1]) / width[1]) ** 2)
    size = (frame.shape[1], frame.shape[0])
    share = np.asarray(Image.fromarray(spot.astype(np.float32)).resize(size, Image.Resampling.BILINEAR), np.float32)
    return frame + share[..., None] * (255 - frame)


def _add_moire(frame: Frame, strength: float, rng: np.random.Generator) -> Frame:
    """Beats between a screen's pixels and the sensor's: slow rainbow waves, bent a little, and fine lines."""
    height, width = frame.shape[:2]
    y, x = np.meshgrid(np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32), indexing="ij")
    angle, period = rng.uniform(0, np.pi), min(height, width) * rng.uniform(0.02, 0.06)
    bend = 0.6 * np.sin(x * np.float32(2 * np.pi / width) + np.float32(rng.uniform(0, 6)))
    phase = (np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y) * np.float32(2 * np.pi / period) + bend
    for channel, offset in enumerate(rng.uniform(0, 2.2, 3)):
        frame[..., channel] += np.float32(strength) * np.sin(phase + np.float32(offset))
    frame[::2] *= np.float32(1 - strength / 220)
    return frame


def _noise_for(frame: Frame, strength: float, rng: np.random.Generator) -> Frame:
    """Sensor noise, stronger where there is light to count, cut at random from the cached field."""
    field = sensor_noise()
    height, width = frame.shape[:2]
    if height > field.shape[0] or width > field.shape[1]:
        tiles = (-(-height // field.shape[0]) + 1, -(-width // field.shape[1]) + 1, 1)
        field = np.tile(field, tiles)
    top = int(rng.integers(field.shape[0] - height + 1))
    left = int(rng.integers(field.shape[1] - width + 1))
    brightness = np.float32(0.6) + frame[..., 1:2] * np.float32(0.4 / 128)  # green stands for all three
    return np.asarray(np.float32(strength) * brightness * field[top : top + height, left : left + width], np.float32)


def _through_jpeg(stored: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    stored.save(buffer, format="JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")
