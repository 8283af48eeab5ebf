"""Augmentation against arithmetic, against Pillow's JPEG, and against what each change must leave alone."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from training.augment import FULL, NONE, STRENGTHS, STRONG, augment, compress, to_gray, turn_hue


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _pictures(count: int = 4, size_px: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (count, size_px, size_px, 3), dtype=torch.uint8, generator=_generator(7))


def test_with_every_strength_zero_a_picture_stays_as_it_is():
    pictures = _pictures()
    got = augment(pictures, size_px=32, generator=_generator(), how=NONE)
    torch.testing.assert_close(got, pictures.permute(0, 3, 1, 2).float(), rtol=0, atol=0.01)


@pytest.mark.parametrize("name", ["min_area", "turn_degrees", "tilt", "stretch", "flip_share"])
def test_geometry_leaves_a_constant_picture_constant(name):
    color = torch.tensor([30, 120, 220], dtype=torch.uint8)
    got = augment(
        color.expand(8, 40, 40, 3),
        size_px=24,
        generator=_generator(),
        how=replace(NONE, **{name: getattr(STRONG, name)}),
    )
    torch.testing.assert_close(got, color.float().view(1, 3, 1, 1).expand(8, 3, 24, 24), rtol=0, atol=0.01)


def test_a_flip_share_of_one_mirrors_every_picture():
    pictures = _pictures()
    got = augment(pictures, size_px=32, generator=_generator(), how=replace(NONE, flip_share=1.0))
    torch.testing.assert_close(got, pictures.permute(0, 3, 1, 2).flip(-1).float(), rtol=0, atol=0.01)


@pytest.mark.parametrize("name", STRENGTHS)
def test_a_seed_repeats_and_pixels_stay_in_range(name):
    pictures = _pictures()
    first, again, other = (
        augment(pictures, size_px=24, generator=_generator(seed), how=STRENGTHS[name]) for seed in (1, 1, 2)
    )
    assert first.shape == (4, 3, 24, 24)
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (name == "none")
    assert first.min() >= 0
    assert first.max() <= 255


def test_strong_reaches_farther_than_full_everywhere():
    assert STRONG.min_area < FULL.min_area
    for name in vars(FULL):
        if name != "min_area":
            assert getattr(STRONG, name) >= getattr(FULL, name), name


def test_hue_turns_by_hand():
    colors = torch.tensor([[200.0, 10.0, 30.0], [90.0, 90.0, 90.0]]).view(2, 3, 1, 1)
    # A third of a turn hands red to green, green to blue, blue to red; gray has no hue.
    got = turn_hue(colors, torch.tensor([120.0, 120.0])).flatten(1)
    torch.testing.assert_close(got, torch.tensor([[30.0, 200.0, 10.0], [90.0, 90.0, 90.0]]))
    # Half a turn reflects each color through the gray of its mean, here 80.
    half = turn_hue(colors[:1], torch.tensor([180.0])).flatten()
    torch.testing.assert_close(half, 2 * 80 - torch.tensor([200.0, 10.0, 30.0]), rtol=0, atol=1e-3)


def test_hue_keeps_the_mean_of_the_channels():
    planes = _pictures().permute(0, 3, 1, 2).float()
    turned = turn_hue(planes, torch.tensor([-40.0, 5.0, 77.0, 150.0]))
    torch.testing.assert_close(turned.mean(dim=1), planes.mean(dim=1), rtol=0, atol=1e-3)


def test_gray_is_the_luma():
    got = to_gray(torch.tensor([10.0, 20.0, 30.0]).view(1, 3, 1, 1)).flatten()
    assert got.tolist() == pytest.approx([0.299 * 10 + 0.587 * 20 + 0.114 * 30] * 3)
    every = augment(_pictures(), size_px=32, generator=_generator(), how=replace(NONE, gray_share=1.0))
    torch.testing.assert_close(every[:, 0], every[:, 2])


@pytest.mark.parametrize("quality", [15, 50, 75])
def test_blocks_are_those_of_a_jpeg_file(quality):
    y, x = np.mgrid[0:44, 0:52]  # neither side is a multiple of 8
    waves = (128 + 50 * np.sin(x / 7 + y / 11), 128 + 30 * np.cos(x / 5), 100 + y)
    picture = np.stack(waves, axis=-1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=0)
    expected = np.asarray(Image.open(file)).astype(float)
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    got = compress(planes, torch.tensor([float(quality)]))[0].permute(1, 2, 0).numpy()
    damage = np.abs(expected - picture).mean()
    # Pillow rounds colors and pixels to whole numbers on the way, nothing more.
    assert np.abs(got - expected).mean() < min(1.0, damage / 2)


def test_a_share_of_zero_rows_is_no_problem():
    how = replace(NONE, gray_share=1e-9, blocks_share=1e-9)
    pictures = _pictures()
    got = augment(pictures, size_px=32, generator=_generator(), how=how)
    torch.testing.assert_close(got, pictures.permute(0, 3, 1, 2).float(), rtol=0, atol=0.01)
