"""Copies of pictures: small, clean, and never a danger to who makes them."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image, PngImagePlugin

from openmeet_bridge.openmeet.picture_copies import PictureCopy, copy
from openmeet_bridge.openmeet.pictures import PictureProblem

from ..support.picture_server import picture

ORIENTATION = 0x0112
GPS = 0x8825


def copied(data: bytes, *, max_pixels: int = 1_000_000, side: int = 64) -> PictureCopy:
    return copy(data, max_pixels=max_pixels, side=side)


def opened(made: PictureCopy) -> Image.Image:
    return Image.open(io.BytesIO(made.data))


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + crc


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_picture_of_each_kind_becomes_a_small_jpeg(kind: str) -> None:
    made = copied(picture("blue", (300, 150), kind))
    with opened(made) as image:
        assert image.format == "JPEG"
        assert image.size == (64, 32)
        red, green, blue = image.convert("RGB").getpixel((5, 5))  # type: ignore[misc]
        assert blue > 200
        assert max(red, green) < 60
    assert made.content_type == "image/jpeg"
    assert made.filename == "picture.jpg"


def test_transparency_is_kept() -> None:
    image = Image.new("RGBA", (100, 100), (255, 0, 0, 0))
    made = copied(saved(image, "PNG"))
    assert made.content_type == "image/png"
    with opened(made) as shown:
        assert shown.mode == "RGBA"
        assert shown.getpixel((3, 3))[3] == 0  # type: ignore[index]


def test_a_small_picture_is_not_blown_up() -> None:
    with opened(copied(picture(size=(10, 7)))) as image:
        assert image.size == (10, 7)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("lime", "red", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    with opened(copied(data)) as image:
        assert getattr(image, "n_frames", 1) == 1
        assert image.convert("RGB").getpixel((5, 5))[1] > 200  # type: ignore[index]


def test_a_photo_is_turned_and_tells_nothing_else() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned by a quarter
    exif[0x010F] = "Secret Camera"
    exif.get_ifd(GPS)[2] = (52.0, 31.0, 0.0)
    data = saved(
        Image.new("RGB", (60, 20), "red"), "JPEG", exif=exif, comment=b"my home", dpi=(300, 300)
    )
    assert b"Secret Camera" in data
    made = copied(data)
    with opened(made) as image:
        assert image.size == (20, 60)
        assert not image.getexif()
        assert "comment" not in image.info
    assert b"Secret" not in made.data
    assert b"my home" not in made.data


def test_text_in_a_png_is_dropped() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Author", "somebody private")
    image = Image.new("RGBA", (9, 9), (1, 2, 3, 4))
    made = copied(saved(image, "PNG", pnginfo=notes) + b"PK and a zip behind it")
    assert b"private" not in made.data
    assert b"PK and" not in made.data


def test_equal_pictures_are_equal_files() -> None:
    one, other = copied(picture("red", kind="PNG")), copied(picture("red", kind="GIF"))
    assert one == other
    assert copied(picture("green")).digest != one.digest


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    # A few bytes that promise two gigapixels.
    header = struct.pack(">IIBBBBB", 50_000, 40_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(100_000))
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)
    with pytest.raises(PictureProblem, match="50000x40000 pixels"):
        copied(bomb)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<!doctype html><script>alert(1)</script>",
        b"GIF89a<script>alert(1)</script>",
        picture()[:40],
        picture(kind="JPEG")[:300],
        picture(kind="BMP"),
        picture(kind="TIFF"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        bytes(range(256)) * 40,
    ],
)
def test_what_is_no_picture_is_a_problem(data: bytes) -> None:
    with pytest.raises(PictureProblem) as problem:
        copied(data)
    assert not problem.value.passing


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "CMYK"])
def test_every_way_to_write_colours_is_understood(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    image = Image.new(mode, (30, 30))
    assert copied(saved(image, kind)).content_type.startswith("image/")
