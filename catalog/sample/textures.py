"""A surface's name and a variant number in, a seamless picture of wood, cloth, grass ... out; made once a process.

The surfaces are what products of the sample shop lie on or stand before in a shopper's photo. Everything is noise
shaped in the frequency domain, so that a tile's edges meet, and seeded by name and variant alone: a photo never depends
on what was drawn before it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TILE_PX = 768
VARIANTS = 3

Gray = NDArray[np.float32]  # [TILE_PX, TILE_PX], mean 0, standard deviation 1
Color = tuple[float, float, float]


def surface_names() -> tuple[str, ...]:
    """Every surface there is."""
    return tuple(_PAINTERS)


@lru_cache(maxsize=64)
def surface(name: str, variant: int, *, halvings: int = 0) -> Image.Image:
    """The RGB tile of a surface, `TILE_PX` wide and high, or half of that for every halving (for small photos)."""
    if halvings:
        finer = surface(name, variant, halvings=halvings - 1)
        return finer.resize((finer.width // 2, finer.height // 2), Image.Resampling.BOX)
    rng = np.random.default_rng(zlib.crc32(f"{name}/{variant}".encode()))
    painted = _PAINTERS[name](rng)
    return Image.fromarray(np.clip(painted, 0, 255).astype(np.uint8), "RGB")


@lru_cache(maxsize=1)
def sensor_noise() -> NDArray[np.float32]:
    """Noise of a small sensor, [1024, 1024, 3], standard deviation about 1: fine in brightness, blotchy in color."""
    rng = np.random.default_rng(20)
    fine = rng.standard_normal((1024, 1024, 1), dtype=np.float32)
    chroma = rng.standard_normal((512, 512, 3), dtype=np.float32).repeat(2, axis=0).repeat(2, axis=1)
    return np.asarray(0.85 * fine + 0.5 * chroma, dtype=np.float32)


def _noise(rng: np.random.Generator, *, power: float, stretch: float = 1.0, angle: float = 0.0) -> Gray:
    """Seamless 1/f**power noise; `stretch` > 1 draws it out along `angle` (radians from the x axis)."""
    frequency = np.fft.fftfreq(TILE_PX)[:, None], np.fft.rfftfreq(TILE_PX)[None, :]
    along = frequency[1] * np.cos(angle) + frequency[0] * np.sin(angle)
    across = frequency[0] * np.cos(angle) - frequency[1] * np.sin(angle)
    radius = np.hypot(along * stretch, across)
    radius[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((TILE_PX, TILE_PX))) * radius**-power
    field = np.fft.irfft2(spectrum, s=(TILE_PX, TILE_PX))
    return np.asarray(field / field.std(), dtype=np.float32)


def _between(low: Color, high: Color, share: Gray) -> NDArray[np.float32]:
    """Colors from `low` (share 0) to `high` (share 1), [TILE_PX, TILE_PX, 3]."""
    start, end = np.array(low, np.float32), np.array(high, np.float32)
    return np.asarray(start + np.clip(share, 0, 1)[..., None] * (end - start), dtype=np.float32)


def _pick(rng: np.random.Generator, pairs: tuple[tuple[Color, Color], ...]) -> tuple[Color, Color]:
    return pairs[int(rng.integers(len(pairs)))]


def _wood(rng: np.random.Generator) -> NDArray[np.float32]:
    low, high = _pick(
        rng, (((92, 58, 34), (158, 108, 66)), ((150, 112, 74), (206, 170, 124)), ((58, 40, 30), (104, 76, 56)))
    )
    rings = np.sin(3.2 * _noise(rng, power=2.2, stretch=9))
    fiber = _noise(rng, power=0.9, stretch=40)
    share = 0.5 + 0.16 * rings + 0.16 * fiber
    planks = int(rng.integers(3, 7))
    height = TILE_PX // planks
    rows = np.arange(TILE_PX) // height
    share += (rng.normal(0, 0.12, planks + 1)[rows])[:, None]
    painted = _between(low, high, share.astype(np.float32))
    seam = np.arange(TILE_PX) % height < 3
    painted[seam] *= 0.55
    return painted


def _tabletop(rng: np.random.Generator) -> NDArray[np.float32]:
    low, high = _pick(
        rng, (((214, 210, 204), (238, 236, 232)), ((196, 178, 152), (216, 200, 176)), ((62, 62, 66), (84, 84, 88)))
    )
    return _between(low, high, 0.5 + 0.12 * _noise(rng, power=0.3) + 0.12 * _noise(rng, power=1.6))


def _table_cloth(rng: np.random.Generator) -> NDArray[np.float32]:
    stripe = TILE_PX // int(rng.choice([8, 12, 16]))
    bands = ((np.arange(TILE_PX) // stripe) % 2).astype(np.float32)
    checks = 0.5 * (bands[:, None] + bands[None, :])
    high, low = _pick(
        rng, (((190, 48, 52), (240, 236, 230)), ((66, 96, 150), (236, 238, 240)), ((98, 128, 92), (238, 236, 224)))
    )
    weave = np.sin(np.arange(TILE_PX) * (2 * np.pi / 4))
    painted = _between(low, high, np.asarray(checks, np.float32))
    shade = 1 + 0.03 * (weave[:, None] + weave[None, :]) + 0.05 * _noise(rng, power=1.9)
    return np.asarray(painted * shade[..., None], dtype=np.float32)


def _linen(rng: np.random.Generator) -> NDArray[np.float32]:
    low, high = _pick(
        rng,
        (((196, 186, 168), (236, 228, 214)), ((120, 132, 146), (168, 180, 194)), ((206, 196, 200), (242, 236, 238))),
    )
    threads = 0.5 * _noise(rng, power=0.35, stretch=14) + 0.5 * _noise(rng, power=0.35, stretch=14, angle=np.pi / 2)
    folds = _noise(rng, power=2.6, stretch=3, angle=float(rng.uniform(0, np.pi)))
    return _between(low, high, np.asarray(0.55 + 0.13 * threads + 0.2 * folds, np.float32))


def _carpet(rng: np.random.Generator) -> NDArray[np.float32]:
    low, high = _pick(
        rng, (((66, 60, 62), (128, 118, 116)), ((112, 44, 46), (168, 86, 78)), ((150, 138, 120), (206, 194, 176)))
    )
    share = 0.5 + 0.22 * _noise(rng, power=0.15) + 0.1 * _noise(rng, power=1.8)
    if rng.random() < 0.5:
        wave = np.sin(np.arange(TILE_PX) * (2 * np.pi * int(rng.integers(4, 9)) / TILE_PX))
        share = share + 0.18 * np.sign(wave[:, None] * wave[None, :])
    return _between(low, high, np.asarray(share, np.float32))


def _wall(rng: np.random.Generator) -> NDArray[np.float32]:
    low, high = _pick(
        rng,
        (((204, 198, 188), (232, 228, 220)), ((150, 168, 176), (186, 202, 208)), ((196, 178, 150), (222, 206, 182))),
    )
    return _between(low, high, 0.55 + 0.1 * _noise(rng, power=0.6) + 0.14 * _noise(rng, power=2.2))


def _grass(rng: np.random.Generator) -> NDArray[np.float32]:
    blades = np.maximum.reduce(
        [_noise(rng, power=0.75, stretch=9, angle=np.pi / 2 + lean) for lean in (-0.6, -0.25, 0.1, 0.45)]
    )
    share = 0.12 + 0.26 * blades + 0.08 * _noise(rng, power=2.0)
    low, high = _pick(rng, (((30, 50, 18), (136, 168, 72)), ((44, 58, 24), (168, 176, 90))))
    return _between(low, high, np.asarray(share, np.float32))


def _stone(rng: np.random.Generator) -> NDArray[np.float32]:
    low, high = _pick(rng, (((108, 106, 104), (172, 170, 166)), ((52, 54, 60), (108, 110, 116))))
    return _between(low, high, 0.5 + 0.2 * _noise(rng, power=0.5) + 0.16 * _noise(rng, power=1.5))


def _marble(rng: np.random.Generator) -> NDArray[np.float32]:
    veins = np.exp(-6 * np.abs(_noise(rng, power=1.9, stretch=1.8, angle=0.7)))
    cloud = _noise(rng, power=2.0)
    return _between((240, 238, 234), (150, 148, 148), np.asarray(0.75 * veins + 0.12 + 0.08 * cloud, np.float32))


def _tiles(rng: np.random.Generator) -> NDArray[np.float32]:
    count = int(rng.integers(4, 7))
    side = TILE_PX // count
    cell = np.arange(TILE_PX) // side
    tint = rng.normal(0, 0.14, (count + 1, count + 1))[cell][:, cell]
    low, high = _pick(
        rng, (((176, 170, 160), (226, 220, 210)), ((140, 92, 70), (190, 138, 108)), ((120, 140, 150), (190, 206, 212)))
    )
    painted = _between(low, high, np.asarray(0.5 + tint + 0.07 * _noise(rng, power=1.4), np.float32))
    joint = np.arange(TILE_PX) % side < 6
    painted[joint] = painted[joint] * 0.3 + 100
    painted[:, joint] = painted[:, joint] * 0.3 + 100
    return painted


_PAINTERS: dict[str, Callable[[np.random.Generator], NDArray[np.float32]]] = {
    "wood": _wood,
    "tabletop": _tabletop,
    "table cloth": _table_cloth,
    "linen": _linen,
    "carpet": _carpet,
    "wall": _wall,
    "grass": _grass,
    "stone": _stone,
    "marble": _marble,
    "tiles": _tiles,
}
