"""Images, stickers and thumbnails, by Pillow. Runs in the worker process."""

from __future__ import annotations

import base64
import io
import warnings
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

from cluster.media.refused import Refused

__all__ = ["image", "jpeg_thumbnail", "square", "sticker", "thumbnail"]

#: Longer side of a thumbnail and of a link preview's inline one, pixels.
_THUMBNAIL = 200
_STICKER = 512
#: Side of a profile's picture, as WhatsApp's own clients upload it.
_SQUARE = 640
_MAX_PIXELS = 100_000_000
#: What WhatsApp's clients show as images as it is.
_AS_IS = {"JPEG": "image/jpeg", "PNG": "image/png"}


def image(source: str, target: str | None) -> dict[str, Any]:
    """Size, type and thumbnail; what is neither JPEG nor PNG, or is in the colours of printers,
    which phones show wrongly, becomes JPEG at `target`."""
    picture = _open(source)
    shown = picture.mode not in {"CMYK", "YCCK", "LAB"}
    facts: dict[str, Any] = {"mimetype": _AS_IS.get(picture.format or "") if shown else ""}
    turned = ImageOps.exif_transpose(picture) or picture
    facts |= {"width": turned.width, "height": turned.height, "thumbnail": jpeg_thumbnail(turned)}
    if not facts["mimetype"]:
        if target is None:
            raise Refused("the image is no JPEG or PNG that phones show")
        _flat(turned).save(target, "JPEG", quality=88)
        facts |= {"mimetype": "image/jpeg", "converted": True}
    return facts


def sticker(source: str, target: str | None) -> dict[str, Any]:
    """512 × 512 WebP with a transparent margin; what is that already stays, animated or not."""
    picture = _open(source)
    animated = bool(getattr(picture, "is_animated", False))
    size = (_STICKER, _STICKER)
    if picture.format == "WEBP" and picture.size == size:
        return {"mimetype": "image/webp", "width": size[0], "height": size[1], "animated": animated}
    if target is None:
        raise Refused("a sticker is a WebP image of 512 × 512 pixels")
    fitted = ImageOps.contain(picture.convert("RGBA"), size)
    canvas = Image.new("RGBA", size, (0, 0, 0, 0))
    canvas.paste(fitted, ((size[0] - fitted.width) // 2, (size[1] - fitted.height) // 2))
    canvas.save(target, "WEBP", quality=85)
    return {
        "mimetype": "image/webp",
        "width": size[0],
        "height": size[1],
        "animated": False,
        "converted": True,
    }


def square(source: str, target: str | None) -> dict[str, Any]:
    """The middle square, as JPEG at `target`: what profiles, groups and channels have."""
    if target is None:
        raise Refused("a square is made, whatever there is")
    picture = _open(source)
    upright = _flat(ImageOps.exif_transpose(picture) or picture)
    side = min(upright.width, upright.height, _SQUARE)
    ImageOps.fit(upright, (side, side)).save(target, "JPEG", quality=85)
    return {"mimetype": "image/jpeg", "width": side, "height": side, "converted": True}


def thumbnail(source: str, target: str | None) -> dict[str, Any]:
    """A small JPEG, and the size of the original."""
    picture = _open(source)
    return {
        "width": picture.width,
        "height": picture.height,
        "thumbnail": jpeg_thumbnail(picture),
        "mimetype": Image.MIME.get(picture.format or "", ""),
    }


def jpeg_thumbnail(picture: Image.Image) -> str:
    """Base64 of a small JPEG."""
    small = picture.copy()
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    out = io.BytesIO()
    _flat(small).save(out, "JPEG", quality=55, optimize=True)
    return base64.b64encode(out.getvalue()).decode()


def _open(source: str) -> Image.Image:
    Image.MAX_IMAGE_PIXELS = _MAX_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(source)
            picture.load()
    except UnidentifiedImageError as error:
        raise Refused("the file is no image") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refused("the image has too many pixels") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise Refused("the image is damaged") from error
    return picture


def _flat(picture: Image.Image) -> Image.Image:
    """Without transparency: JPEG has none."""
    if picture.mode in {"RGBA", "LA", "PA"} or "transparency" in picture.info:
        alpha = picture.convert("RGBA")
        ground = Image.new("RGBA", alpha.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, alpha).convert("RGB")
    return picture.convert("RGB")
