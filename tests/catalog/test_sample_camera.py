"""Photos and catalog pictures: the box holds the product, a seed fixes the pixels, effects do what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from catalog.sample import camera
from catalog.sample.camera import take_photo
from catalog.sample.cutout import cutout
from catalog.sample.lens import Capture, expose
from catalog.sample.scene import place, tilted_corners, warp
from catalog.sample.shop import shop_specs
from catalog.sample.studio import render_product
from catalog.sample.textures import TILE_PX, VARIANTS, surface, surface_names

MAGENTA = (255, 0, 255)  # nothing in a scene has this color

NO_EFFECTS = Capture(
    exposure=1.0,
    gains=(1.0, 1.0, 1.0),
    unevenness=0.0,
    vignette=0.0,
    glare=0.0,
    cast_shadow=0.0,
    defocus=0.0,
    motion=0.0,
    motion_angle=0.0,
    noise=0.0,
    moire=0.0,
    sharpen=0.0,
    jpeg_quality=95,
)


@pytest.fixture(scope="module")
def specs():
    return shop_specs(seed=0, products=90)


@pytest.fixture
def magenta_scenes(monkeypatch):
    """Photos in which the product is one flat color and the lens is perfect."""

    def painted(look, *, size_px):
        real = cutout(look, size_px=size_px)
        flat = Image.new("RGBA", real.size, (*MAGENTA, 255))
        flat.putalpha(real.getchannel("A"))
        return flat

    monkeypatch.setattr(camera, "cutout", painted)
    monkeypatch.setattr(camera, "expose", lambda scene, *_: scene)


def _magenta_box(photo: Image.Image) -> tuple[int, int, int, int]:
    pixels = np.asarray(photo).astype(int)
    near = (np.abs(pixels - MAGENTA).sum(axis=2)) < 200
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def test_the_box_is_the_rectangle_of_the_products_pixels(specs, magenta_scenes, monkeypatch):
    monkeypatch.setattr(camera, "_occlude", lambda *_, **__: None)
    for number in range(40):
        photo, box = take_photo(specs[number], np.random.default_rng(number), size=(320, 240))
        np.testing.assert_allclose(_magenta_box(photo), box, atol=3.5, err_msg=f"photo {number}")


def test_a_hand_leaves_the_product_to_be_seen(specs, magenta_scenes, monkeypatch):
    kept = []
    for number in range(40):
        with monkeypatch.context() as without:
            without.setattr(camera, "_occlude", lambda *_, **__: None)
            clear, _ = take_photo(specs[number], np.random.default_rng(number), size=(160, 120))
        photo, _ = take_photo(specs[number], np.random.default_rng(number), size=(160, 120))
        seen, all_of_it = ((np.asarray(p) == MAGENTA).all(axis=2).sum() for p in (photo, clear))
        kept.append(seen / max(1, all_of_it))
    assert min(kept) > 0.4
    assert np.mean(kept) > 0.93
    assert 0.05 <= np.mean(np.array(kept) < 1) <= 0.4


def test_boxes_lie_in_the_photo_and_mostly_fill_it(specs):
    shares = []
    for number in range(60):
        photo, box = take_photo(specs[number], np.random.default_rng((7, number)), size=(128, 96))
        assert 0 <= box.x_min < box.x_max <= photo.width
        assert 0 <= box.y_min < box.y_max <= photo.height
        shares.append((box.x_max - box.x_min) * (box.y_max - box.y_min) / (photo.width * photo.height))
    assert np.mean(np.array(shares) > 0.2) > 0.65
    assert np.mean(np.array(shares) < 0.85) > 0.85


def test_equal_random_states_give_equal_photos(specs):
    first, box = take_photo(specs[3], np.random.default_rng(5), others=specs[10:13], size_px=160)
    again, same_box = take_photo(specs[3], np.random.default_rng(5), others=specs[10:13], size_px=160)
    other, _ = take_photo(specs[3], np.random.default_rng(6), others=specs[10:13], size_px=160)
    assert first.tobytes() == again.tobytes()
    assert box == same_box
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize(
    ("size", "size_px", "expected"),
    [((640, 480), 160, (160, 120)), ((480, 640), 160, (120, 160)), ((90, 90), None, (90, 90))],
)
def test_photo_sizes(specs, size, size_px, expected):
    photo, _ = take_photo(specs[0], np.random.default_rng(0), size=size, size_px=size_px)
    assert photo.size == expected
    assert photo.mode == "RGB"


def test_catalog_pictures_show_the_product_on_a_light_plain_ground(specs):
    for spec in specs[:30]:
        pixels = np.asarray(render_product(spec, size_px=96)).astype(int)
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert border.min() > 200
        assert border.std(axis=0).max() < 12
        ground = border.mean(axis=0)
        seen = np.abs(pixels - ground).sum(axis=2) > 60
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        longer = max(np.ptp(rows), np.ptp(columns)) + 1
        assert 0.6 * 96 <= longer <= 0.95 * 96


def test_a_catalog_picture_depends_on_its_product_alone(specs):
    picture = render_product(specs[1], size_px=96).tobytes()
    assert render_product(specs[1], size_px=96).tobytes() == picture
    assert render_product(replace(specs[1], title="another"), size_px=96).tobytes() == picture
    assert render_product(specs[1], np.random.default_rng(0), size_px=96).tobytes() != picture


def test_no_tilt_keeps_a_rectangle_and_pitch_shortens_its_top():
    flat = tilted_corners(40, 20, pitch=0, yaw=0, roll=0)
    np.testing.assert_allclose(flat, [[-20, -10], [20, -10], [20, 10], [-20, 10]])
    top_left, top_right, bottom_right, bottom_left = tilted_corners(40, 20, pitch=0.6, yaw=0, roll=0)
    assert top_right[0] - top_left[0] < 40 < bottom_right[0] - bottom_left[0]
    turned = tilted_corners(40, 20, pitch=0, yaw=0, roll=np.pi / 2)
    np.testing.assert_allclose(turned.max(axis=0) - turned.min(axis=0), [20, 40], atol=1e-9)


def test_warping_into_the_same_rectangle_moves_no_pixel():
    rng = np.random.default_rng(0)
    layer = Image.fromarray(np.dstack([rng.integers(0, 255, (12, 16, 3)), np.full((12, 16), 255)]).astype(np.uint8))
    corners = np.array([[30.0, 40.0], [46, 40], [46, 52], [30, 52]])
    scene = Image.new("RGB", (80, 80))
    alpha = place(scene, layer, corners, shadow=None)
    assert alpha.getbbox() == (30, 40, 46, 52)
    # One level of rounding: the eight coefficients are solved for, not exact.
    np.testing.assert_allclose(
        np.asarray(scene).astype(int)[40:52, 30:46], np.asarray(layer).astype(int)[..., :3], atol=1
    )
    warped, at = warp(layer, corners)
    same_place = warped.crop((30 - at[0], 40 - at[1], 46 - at[0], 52 - at[1]))
    np.testing.assert_allclose(np.asarray(same_place).astype(int), np.asarray(layer).astype(int), atol=1)


def _expose(level: int, capture: Capture) -> np.ndarray:
    scene = Image.new("RGB", (64, 48), (level, level, level))
    return np.asarray(expose(scene, capture, np.random.default_rng(0))).astype(int)


def test_a_perfect_lens_changes_nothing():
    assert np.abs(_expose(120, NO_EFFECTS) - 120).max() <= 1


def test_exposure_and_white_balance_are_factors():
    capture = replace(NO_EFFECTS, exposure=0.5, gains=(1.2, 1.0, 0.8))
    np.testing.assert_allclose(_expose(200, capture).mean(axis=(0, 1)), [200 * 0.6, 200 * 0.5, 200 * 0.4], atol=2)


def test_noise_has_the_strength_asked_for():
    spread = _expose(128, replace(NO_EFFECTS, noise=10.0, jpeg_quality=100)).std()
    assert 7 <= spread <= 13


def test_defocus_and_motion_spread_a_line():
    scene = Image.new("RGB", (101, 101))
    scene.paste((255, 255, 255), (50, 0, 51, 101))
    for capture in (replace(NO_EFFECTS, defocus=0.03), replace(NO_EFFECTS, motion=0.08)):
        blurred = np.asarray(expose(scene, capture, np.random.default_rng(0))).astype(int)
        lit = np.flatnonzero(blurred[50, :, 0] > 12)
        assert 5 <= np.ptp(lit) <= 18


@pytest.mark.parametrize("name", surface_names())
def test_surfaces_differ_and_have_detail(name):
    tiles = {surface(name, variant).tobytes() for variant in range(VARIANTS)}
    assert len(tiles) == VARIANTS
    assert surface(name, 0).size == (TILE_PX, TILE_PX)
    assert surface(name, 0, halvings=1).size == (TILE_PX // 2, TILE_PX // 2)
    assert np.asarray(surface(name, 0)).std() > 1
