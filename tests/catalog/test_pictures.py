"""Pixels worked out by hand for each kind of picture; anything broken is one of our errors and never another."""

import io
import random
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

from catalog.errors import NotAnImageError, OutOfRangeError, TooLargeError
from catalog.pictures import Fit, PictureLimits, decode, load_input, to_input
from catalog.rows import Box

# Outside pytest, which keeps its own list of filters, catalog.pictures silences these itself.
pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\.")

REAL_PHOTOS = Path(__file__).parents[3] / "shared" / "data"
FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *(["AVIF"] if features.check("avif") else [])]
RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def encode(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pixels(data, **options):
    return np.asarray(decode(data, **options).image)


def near(left, right, tolerance):
    return np.abs(np.asarray(left, int) - np.asarray(right, int)).max() <= tolerance


def photo(width=64, height=48, seed=0):
    """A smooth colored picture, so that lossy formats stay close to it."""
    y, x = np.mgrid[:height, :width]
    channels = [x * 255 // width, y * 255 // height, (x + y + seed * 40) * 255 // (width + height) % 256]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def exif(orientation, order="<", kind=3):
    value = struct.pack(order + ("I" if kind == 4 else "H"), orientation).ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return b"Exif\0\0" + head + struct.pack(order + "HHHI", 1, 0x0112, kind, 1) + value + bytes(4)


# What a 2 x 3 picture of letters looks like upright: stored rows are "ab", "cd", "ef".
UPRIGHT = {
    1: ["ab", "cd", "ef"],
    2: ["ba", "dc", "fe"],
    3: ["fe", "dc", "ba"],
    4: ["ef", "cd", "ab"],
    5: ["ace", "bdf"],
    6: ["eca", "fdb"],
    7: ["fdb", "eca"],
    8: ["bdf", "ace"],
}
LETTER = {"a": RED, "b": GREEN, "c": BLUE, "d": WHITE, "e": BLACK, "f": (255, 255, 0)}


def letters(rows, cell=1):
    small = np.array([[LETTER[letter] for letter in row] for row in rows], dtype=np.uint8)
    return small.repeat(cell, axis=0).repeat(cell, axis=1)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(("order", "kind"), [("<", 3), (">", 3), ("<", 4)])
def test_exif_orientation_png(orientation, order, kind):
    data = encode(Image.fromarray(letters(UPRIGHT[1])), "PNG", exif=exif(orientation, order, kind))
    picture = decode(data)
    assert (picture.height_px, picture.width_px) == (len(UPRIGHT[orientation]), len(UPRIGHT[orientation][0]))
    np.testing.assert_array_equal(picture.image, letters(UPRIGHT[orientation]))


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF", "AVIF"])
def test_exif_orientation_other_formats(orientation, kind):
    if kind not in FORMATS:
        pytest.skip(f"Pillow here has no {kind}")
    stored = Image.fromarray(letters(UPRIGHT[1], cell=16))
    options = {"tiffinfo": {0x0112: orientation}} if kind == "TIFF" else {"exif": exif(orientation)}
    if kind == "JPEG":
        options |= {"quality": 100, "subsampling": 0}
    picture = decode(encode(stored, kind, **options))
    expected = letters(UPRIGHT[orientation], cell=16)
    assert (picture.height_px, picture.width_px) == expected.shape[:2]
    assert near(np.asarray(picture.image)[8::16, 8::16], expected[8::16, 8::16], 40)


@pytest.mark.parametrize(
    "bad", [b"", b"Exif\0\0", exif(0), exif(9), exif(6)[:12], exif(6)[:20], b"Exif\0\0II*\0\xff\xff\xff\xff"]
)
def test_broken_exif_means_upright(bad):
    data = encode(photo(), "PNG")
    if bad:
        chunk = b"eXIf" + bad.removeprefix(b"Exif\0\0")
        data = data[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    np.testing.assert_array_equal(pixels(data), photo())


@pytest.mark.parametrize("alpha", [0, 1, 64, 128, 254, 255])
def test_alpha_goes_over_white(alpha):
    expected = [round((value * alpha + 255 * (255 - alpha)) / 255) for value in (200, 40, 0)]
    rgba = Image.new("RGBA", (2, 2), (200, 40, 0, alpha))
    assert near(pixels(encode(rgba, "PNG"))[0, 0], expected, 0)
    assert near(pixels(encode(rgba, "WEBP", lossless=True, exact=True))[0, 0], expected, 0)
    gray = Image.new("LA", (2, 2), (40, alpha))
    assert near(pixels(encode(gray, "PNG"))[0, 0], [expected[1]] * 3, 0)


def test_transparent_colors_are_white():
    palette = Image.new("P", (2, 1))
    palette.putpalette([*RED, *BLUE])
    palette.putdata([0, 1])
    for kind in ("PNG", "GIF"):
        np.testing.assert_array_equal(pixels(encode(palette, kind, transparency=1)), [[RED, WHITE]])
    half = encode(palette, "PNG", transparency=bytes([255, 51]))
    np.testing.assert_array_equal(pixels(half), [[RED, (204, 204, 255)]])  # 255 - 51 = 204
    rgb = Image.fromarray(np.array([[RED, BLUE]], dtype=np.uint8))
    np.testing.assert_array_equal(pixels(encode(rgb, "PNG", transparency=BLUE)), [[RED, WHITE]])
    gray = Image.fromarray(np.array([[0, 7]], dtype=np.uint8))
    np.testing.assert_array_equal(pixels(encode(gray, "PNG", transparency=0)), [[WHITE, (7, 7, 7)]])


@pytest.mark.parametrize(("cmyk", "rgb"), [((0, 255, 255, 0), RED), ((0, 0, 0, 0), WHITE), ((0, 0, 0, 255), BLACK)])
def test_cmyk_jpeg(cmyk, rgb):
    data = encode(Image.new("CMYK", (16, 16), cmyk), "JPEG", quality=100)
    assert near(pixels(data)[8, 8], rgb, 3)


def test_ycck_jpeg():
    """A scan of constant (76, 85, 255, 255), said to be YCCK by Adobe transform 2.

    YCbCr (76, 85, 255) is RGB (254, 0, 0); the decoder gives its complement (1, 255, 255) as CMY, and Adobe stores ink
    inverted, so the ink is C 254, M 0, Y 0, K 0: cyan.
    """
    data = encode(Image.new("CMYK", (16, 16), (255 - 76, 255 - 85, 0, 0)), "JPEG", quality=100)
    at = data.index(b"Adobe") + 11
    assert near(pixels(data[:at] + b"\x02" + data[at + 1 :])[8, 8], (0, 255, 255), 4)


def test_sixteen_bit_gray_is_scaled_by_its_range():
    stored = np.array([[0, 257, 257 * 100, 65535]], dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        got = pixels(encode(Image.fromarray(stored), kind))
        np.testing.assert_array_equal(got[0, :, 0], [0, 1, 100, 255])
        np.testing.assert_array_equal(got[..., 0], got[..., 2])


def test_wide_and_float_gray_tiff():
    wide = Image.fromarray(np.array([[0, 1000, 4000]], dtype=np.int32))  # highest 4000 <= 65535
    np.testing.assert_array_equal(pixels(encode(wide, "TIFF"))[0, :, 0], [0, 4, 16])
    unit = Image.fromarray(np.array([[0, 0.5, 1.0, np.nan]], dtype=np.float32))
    np.testing.assert_array_equal(pixels(encode(unit, "TIFF"))[0, :, 0], [0, 128, 255, 0])


def test_sixteen_bit_rgb_png():
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    row = b"\0" + struct.pack(">6H", 65535, 0, 257 * 100, 0, 257 * 7, 65535)
    for extra in (b"", chunk(b"tRNS", struct.pack(">3H", 1, 2, 3))):
        data = b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
        np.testing.assert_array_equal(pixels(data), [[(255, 0, 100), (0, 7, 255)]])


def test_one_bit_and_palette():
    bits = Image.fromarray(np.array([[True, False, True]]))
    for kind in ("PNG", "BMP", "TIFF", "GIF"):
        np.testing.assert_array_equal(pixels(encode(bits, kind)), [[WHITE, BLACK, WHITE]])


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", *(["AVIF"] if "AVIF" in FORMATS else [])])
def test_animated_gives_the_first_frame(kind):
    first, *rest = [Image.new("RGB", (16, 16), color) for color in (RED, GREEN, BLUE)]
    data = encode(first, kind, save_all=True, append_images=rest)
    assert near(pixels(data)[8, 8], RED, 4)


def test_mpo_gives_the_first_picture():
    data = encode(
        Image.new("RGB", (16, 16), RED), "MPO", save_all=True, append_images=[Image.new("RGB", (16, 16), BLUE)]
    )
    assert near(pixels(data)[8, 8], RED, 4)


@pytest.mark.parametrize("kind", FORMATS)
def test_one_pixel(kind):
    picture = decode(encode(Image.new("RGB", (1, 1), (200, 100, 50)), kind), min_side_px=8)
    assert near(picture.image.getpixel((0, 0)), (200, 100, 50), 6)
    assert to_input(picture, size_px=8).shape == (8, 8, 3)


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (3, 5000)])
@pytest.mark.parametrize("fit", Fit)
def test_extreme_proportions(size, fit):
    made, picture = load_input(encode(Image.new("RGB", size, RED), "JPEG"), size_px=32)
    assert (picture.width_px, picture.height_px) == size
    assert near(made, np.broadcast_to(RED, (32, 32, 3)), 4)
    assert to_input(picture, size_px=32, fit=fit).shape == (32, 32, 3)


def png_header(width, height):
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def webp_header(width, height):
    body = (
        b"VP8X"
        + struct.pack("<I", 10)
        + bytes(4)
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little")
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def test_pixels_over_the_limit_are_refused_from_the_header(monkeypatch):
    """No pixel data follows these headers, so `TooLargeError` can only come from the header."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    gif = b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + b";"
    for data in (png_header(60_000, 60_000) + encode(photo(), "PNG")[33:], webp_header(16_000, 16_000), gif):
        with pytest.raises(TooLargeError, match=r"at most 50,000,000 are allowed"):
            decode(data)


def test_pixel_limit_is_exact_and_is_ours():
    data = encode(Image.new("1", (100, 100)), "PNG")
    assert decode(data, limits=PictureLimits(max_pixels=10_000)).width_px == 100
    with pytest.raises(TooLargeError, match=r"100 x 100 = 10,000 pixels, at most 9,999 are allowed"):
        decode(data, limits=PictureLimits(max_pixels=9_999))
    big = encode(Image.new("1", (10_000, 9_500)), "PNG")  # more than Pillow's own limit, which would warn
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(big, limits=PictureLimits(max_pixels=100_000_000)).width_px == 10_000


def test_byte_limit_is_exact():
    data = encode(photo(), "JPEG")
    assert decode(data, limits=PictureLimits(max_bytes=len(data))).width_px == 64
    with pytest.raises(TooLargeError, match=f"has {len(data):,} bytes, at most {len(data) - 1:,} are allowed"):
        decode(data, limits=PictureLimits(max_bytes=len(data) - 1))


def test_jpeg_with_thousands_of_scans_is_refused():
    data = encode(photo(), "JPEG", progressive=True)
    assert near(pixels(data), photo(), 20)
    start = data.rindex(b"\xff\xda")
    scan = data[start:-2]
    with pytest.raises(TooLargeError, match="more than 64 scans"):
        decode(data[:start] + scan * 65 + b"\xff\xd9")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"hello", "5 bytes are not a picture, expected JPEG, PNG"),
        (b"%PDF-1.4" * 9, "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (b"P6 1 1 255 abc", "not a picture"),
        (b"\0\0\0\x18ftypheic" + bytes(50), "HEIC pictures can't be read here, save or share the photo as JPEG"),
        (b"\xff\xd8\xff", "cut off after 3 bytes"),
        (b"GIF89a", "cut off after 6 bytes"),
        (b"BM", "picture"),
        (b"II*\0", "picture"),
        (b"RIFF\0\0\0\0WEBP", "picture"),
    ],
)
def test_not_an_image(data, sentence):
    with pytest.raises(NotAnImageError, match=sentence):
        decode(data)


@pytest.mark.parametrize("kind", FORMATS)
def test_half_a_file_is_cut_off(kind):
    data = encode(photo(300, 200), kind)
    with pytest.raises(
        NotAnImageError, match=r"the picture (is cut off after [\d,]+ bytes|of [\d,]+ bytes is corrupt)"
    ):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_cut_off_says_so(kind):
    data = encode(photo(300, 200), kind)
    with pytest.raises(NotAnImageError, match=rf"is cut off after {len(data) // 2:,} bytes"):
        decode(data[: len(data) // 2])


def seeds():
    rgba = photo().convert("RGBA")
    frames = {"save_all": True, "append_images": [photo(seed=1), photo(seed=2)]}
    valid = [encode(photo(), kind) for kind in FORMATS]
    valid += [encode(photo(), "JPEG", progressive=True, exif=exif(6)), encode(photo().convert("CMYK"), "JPEG")]
    valid += [
        encode(photo().convert("P"), "PNG"),
        encode(rgba, "PNG", exif=exif(3)),
        encode(rgba, "WEBP", lossless=True),
    ]
    valid += [encode(photo(), kind, **frames) for kind in ("GIF", "WEBP", "PNG", "MPO")]
    valid += [
        encode(photo(), "TIFF", compression=name) for name in ("tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits")
    ]
    valid += [
        encode(photo().convert("I;16"), "PNG"),
        encode(photo().convert("I;16"), "TIFF"),
        encode(photo().convert("1"), "BMP"),
    ]
    valid += [encode(photo(), "JPEG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())]
    return valid


SEEDS = seeds()


@st.composite
def damaged(draw):
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 6))):
        # headers are where the interesting mistakes are
        at = draw(st.one_of(st.integers(0, min(80, len(data) - 1)), st.integers(0, len(data) - 1)))
        data[at] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    elif draw(st.booleans()):
        at = draw(st.integers(0, len(data)))
        data[at:at] = draw(st.binary(max_size=40))
    return bytes(data)


@settings(max_examples=1500, deadline=2000)
@given(damaged(), st.sampled_from([None, 4, 16]))
def test_damaged_bytes_decode_or_are_refused(data, min_side_px):
    try:
        picture = decode(data, limits=PictureLimits(max_pixels=1_000_000), min_side_px=min_side_px)
    except (NotAnImageError, TooLargeError):
        return
    assert picture.image.mode == "RGB"
    assert picture.image.size[0] * picture.image.size[1] <= 1_000_000


@given(
    st.binary(max_size=64),
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0*"]),
)
def test_noise_is_refused(noise, signature):
    with pytest.raises((NotAnImageError, TooLargeError)):
        decode(signature + noise)


def quadrants(width=200, height=100):
    image = Image.new("RGB", (width, height))
    for index, color in enumerate((RED, GREEN, BLUE, WHITE)):
        image.paste(color, ((index % 2) * width // 2, (index // 2) * height // 2, width, height))
    return image


@pytest.mark.parametrize(
    ("box", "color"),
    [
        (Box(0, 0, 100, 50), RED),
        (Box(100, 0, 200, 50), GREEN),
        (Box(-50, 50, 100, 500), BLUE),
        (Box(199.2, 99.5, 200, 100), WHITE),
    ],
)
def test_box_crops_a_quadrant_without_its_neighbors(box, color):
    made = to_input(decode(encode(quadrants(), "PNG")), size_px=16, box=box)
    np.testing.assert_array_equal(made, np.broadcast_to(color, (16, 16, 3)))


def test_box_is_of_the_upright_original_at_any_scale():
    """Stored lying down, 1600 x 800, decoded at a half: the box still means pixels of the upright 800 x 1600."""
    upright = quadrants(800, 1600)
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    data = encode(stored, "JPEG", quality=95, exif=exif(6))
    made, picture = load_input(data, size_px=200, box=Box(400, 0, 800, 800))
    assert (picture.width_px, picture.height_px, picture.scale) == (800, 1600, 0.5)
    assert near(made[4:-4, 4:-4], np.broadcast_to(GREEN, (192, 192, 3)), 3)


@pytest.mark.parametrize("box", [Box(200, 0, 300, 50), Box(-9, 0, 0, 50), Box(50, 50, 50, 60), Box(60, 10, 50, 20)])
def test_box_outside_is_out_of_range(box):
    with pytest.raises(OutOfRangeError, match="has no area inside the photo of 200 x 100 pixels"):
        load_input(encode(quadrants(), "PNG"), size_px=16, box=box)


@pytest.mark.parametrize(
    ("size", "min_side_px", "scale"),
    [
        ((640, 480), None, 1),
        ((640, 480), 224, 1 / 2),
        ((640, 480), 241, 1),
        ((640, 480), 240, 1 / 2),
        ((4000, 3000), 224, 1 / 8),
    ],
)
def test_jpeg_is_decoded_small_but_not_too_small(size, min_side_px, scale):
    picture = decode(encode(photo().resize(size), "JPEG"), min_side_px=min_side_px)
    assert picture.scale == scale
    assert picture.image.size == (size[0] * scale, size[1] * scale)
    assert (picture.width_px, picture.height_px) == size


def test_small_decoding_shows_the_same_picture():
    data = encode(photo(640, 480), "JPEG", quality=95)
    made, _ = load_input(data, size_px=224)
    assert near(made, to_input(decode(data), size_px=224), 8)


def test_fit_policies():
    """A blue 40 x 20 picture with a red left quarter: squash keeps the quarter, crop loses it, pad adds white."""
    image = Image.new("RGB", (40, 20), BLUE)
    image.paste(RED, (0, 0, 10, 20))
    picture = decode(encode(image, "PNG"))
    squash, crop, pad = (to_input(picture, size_px=20, fit=fit) for fit in (Fit.SQUASH, Fit.CROP, Fit.PAD))
    np.testing.assert_array_equal(squash[10, [0, 3, 6, 19]], [RED, RED, BLUE, BLUE])
    np.testing.assert_array_equal(crop[10, [0, 19]], [BLUE, BLUE])  # columns 10 to 30 of the original
    np.testing.assert_array_equal(pad[[0, 4, 10, 15], 10], [WHITE, WHITE, BLUE, WHITE])
    np.testing.assert_array_equal(to_input(picture, size_px=20), squash)


def test_input_is_writable_and_contiguous():
    made, _ = load_input(encode(photo(), "JPEG"), size_px=32)
    assert (made.dtype, made.shape, made.flags.writeable, made.flags.c_contiguous) == (
        np.uint8,
        (32, 32, 3),
        True,
        True,
    )


def test_threads_see_the_pixels_one_thread_sees():
    expected = [load_input(data, size_px=32)[0] for data in SEEDS]
    jobs = list(range(len(SEEDS))) * 8
    random.Random(0).shuffle(jobs)
    start = threading.Barrier(4)
    with ThreadPoolExecutor(4, initializer=start.wait) as pool:
        for index, made in zip(jobs, pool.map(lambda job: load_input(SEEDS[job], size_px=32)[0], jobs), strict=True):
            np.testing.assert_array_equal(made, expected[index])


@pytest.mark.shared
def test_real_photos_decode_upright():
    files = sorted(REAL_PHOTOS.rglob("*.jpg"))[:40] if REAL_PHOTOS.is_dir() else []
    if not files:
        pytest.skip("no real photos in ../shared/data")
    for file in files:
        made, picture = load_input(file.read_bytes(), size_px=224)
        full = to_input(decode(file.read_bytes()), size_px=224)
        assert min(picture.image.size) >= min(224, picture.width_px, picture.height_px)
        difference = np.abs(made.astype(int) - full.astype(int)).mean()
        assert difference < 6, f"{file.name}: decoding small changes pixels by {difference:.1f} on average"
