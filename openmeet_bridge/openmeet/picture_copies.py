"""Making a small clean copy of a picture: new pixels, nothing else of the file.

Only what the decoder makes of the bytes goes on: no metadata (where a photo was taken), no
trailing data, no second format hidden in the first.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

from PIL import Image, ImageOps

from .pictures import PictureProblem

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP")
_QUALITY = 85

# Pillow's own bound only warns, through a process-wide filter; ours is checked before decoding.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class PictureCopy:
    """A picture as it is uploaded.

    Attributes:
        data: The file.
        content_type: ``image/png`` where it has transparency, else ``image/jpeg``.
        digest: SHA-256 of the file: equal pictures have equal ones.
    """

    data: bytes
    content_type: str
    digest: str

    @property
    def filename(self) -> str:
        """A name for the file."""
        return "picture.png" if self.content_type == "image/png" else "picture.jpg"


def copy(data: bytes, *, max_pixels: int, side: int) -> PictureCopy:
    """Return a picture's copy. Slow: not for the event loop's thread.

    Args:
        data: A file of any kind.
        max_pixels: Largest picture that is decoded.
        side: Longest side of the copy, in pixels.

    Raises:
        PictureProblem: It is no picture, or too large a one.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as original:
            width, height = original.size
            if width * height > max_pixels:
                raise PictureProblem(f"{width}x{height} pixels; at most {max_pixels} are decoded")
            pixels = _pixels(original, side)
        return _encoded(pixels)
    except PictureProblem:
        raise
    except Exception as error:
        # Whatever a decoder raises over foreign bytes is the bytes' fault.
        raise PictureProblem(f"not a picture ({type(error).__name__})") from None


def _pixels(original: Image.Image, side: int) -> Image.Image:
    original.draft("RGB", (side, side))  # lets a JPEG be decoded at a fraction of its size
    upright = ImageOps.exif_transpose(original)
    mode = "RGBA" if upright.has_transparency_data else "RGB"
    pixels = upright.convert(mode)
    pixels.thumbnail((side, side), Image.Resampling.LANCZOS)
    if mode == "RGBA" and pixels.getchannel("A").getextrema() == (255, 255):
        pixels = pixels.convert("RGB")
    clean = Image.new(pixels.mode, pixels.size)
    clean.paste(pixels)
    return clean


def _encoded(pixels: Image.Image) -> PictureCopy:
    file = io.BytesIO()
    if pixels.mode == "RGBA":
        pixels.save(file, "PNG", optimize=True)
        content_type = "image/png"
    else:
        pixels.save(file, "JPEG", quality=_QUALITY, optimize=True, progressive=True)
        content_type = "image/jpeg"
    data = file.getvalue()
    return PictureCopy(data, content_type, hashlib.sha256(data).hexdigest())
