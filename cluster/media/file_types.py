"""What a file is, by its first bytes and its name: callers and servers often do not say."""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path, PurePosixPath

from cluster.domain.errors import Invalid

__all__ = ["UNKNOWN", "checked_mimetype", "ending_of", "named", "type_of"]

#: What stands for "I do not know".
UNKNOWN = "application/octet-stream"
_UNSAID = {
    "",
    UNKNOWN,
    "binary/octet-stream",
    "application/x-download",
    "application/force-download",
}
#: RFC 2045, 5.1: type, subtype and parameters.
_MIMETYPE = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+"
    r"(?:\s*;\s*[A-Za-z0-9!#$&^_.+-]+=(?:\"[^\"\x00-\x1f\x7f]*\"|[^\s;\"\x00-\x1f\x7f]+))*\s*;?\s*\Z"
)
_OFFICE = "application/vnd.openxmlformats-officedocument."
#: What `mimetypes` does not know everywhere, or names differently from everybody else.
_TYPES = {
    ".pdf": "application/pdf",
    ".doc": "application/msword",
    ".xls": "application/vnd.ms-excel",
    ".ppt": "application/vnd.ms-powerpoint",
    ".docx": f"{_OFFICE}wordprocessingml.document",
    ".xlsx": f"{_OFFICE}spreadsheetml.sheet",
    ".pptx": f"{_OFFICE}presentationml.presentation",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".epub": "application/epub+zip",
    ".apk": "application/vnd.android.package-archive",
    ".jar": "application/java-archive",
    ".zip": "application/zip",
    ".gz": "application/gzip",
    ".7z": "application/x-7z-compressed",
    ".rar": "application/vnd.rar",
    ".txt": "text/plain",
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".json": "application/json",
    ".xml": "application/xml",
    ".html": "text/html",
    ".ics": "text/calendar",
    ".vcf": "text/vcard",
    ".rtf": "application/rtf",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".tiff": "image/tiff",
    ".heic": "image/heic",
    ".avif": "image/avif",
    ".svg": "image/svg+xml",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".amr": "audio/amr",
    ".aac": "audio/aac",
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
    ".3gp": "video/3gpp",
}
_ENDINGS = {kind: ending for ending, kind in reversed(_TYPES.items())}
#: First bytes -> type; `offset, bytes`.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF-", "application/pdf"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp3g", "video/3gpp"),
    (4, b"ftyp", "video/mp4"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"BEGIN:VCARD", "text/vcard"),
    (0, b"BEGIN:VCALENDAR", "text/calendar"),
)
#: Forms that others are built of: which one, a name may say.
_ZIPS = {
    *(".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".epub", ".apk", ".jar", ".zip"),
}
_OLES = {".doc", ".xls", ".ppt"}
#: In the paths of a ZIP file of Office -> what the file is.
_INSIDE = {b"word/": ".docx", b"xl/": ".xlsx", b"ppt/": ".pptx"}
_HEAD = 64 << 10
_LONGEST_NAME = 255


def type_of(path: Path, said: str = "", filename: str = "") -> str:
    """The type of a file: what its sender said, else what its content or its name says. Blocks.
    Raises `Invalid` for what cannot be a type."""
    said = checked_mimetype(said)
    if said.partition(";")[0].strip().lower() not in _UNSAID:
        return said
    with path.open("rb") as file:
        head = file.read(_HEAD)
    ending = PurePosixPath(filename).suffix.lower()
    by_content = next((t for at, magic, t in _MAGIC if head[at:].startswith(magic)), "")
    if head[:2] in (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"):
        by_content = "audio/mpeg"
    match by_content:
        case "application/zip":
            return _TYPES[ending if ending in _ZIPS else _zip_ending(head)]
        case "application/x-ole-storage":
            return _TYPES[ending] if ending in _OLES else by_content
        case "audio/ogg" | "video/webm" | "video/mp4" | "application/gzip" | "text/vcard":
            by_name = _by_name(ending)
            # The same form holds sound, films and more.
            same = by_name.partition("/")[0] in {"audio", "video"}
            return by_name if same and by_content[0] in "av" else by_content
        case "":
            by_name = _by_name(ending)
            if _is_text(head):
                textual = by_name.startswith("text/") or by_name in _TEXTUAL
                return by_name if textual else _text_type(head)
            return by_name or UNKNOWN
    return by_content


_TEXTUAL = {"application/json", "application/xml", "image/svg+xml", "application/javascript"}


def checked_mimetype(said: str) -> str:
    """Raises `Invalid` for what cannot be one."""
    if said and not _MIMETYPE.match(said):
        raise Invalid(
            "mimetype is not of the form type/subtype, as image/png", field="file.mimetype"
        )
    return said


def ending_of(mimetype: str) -> str:
    """`.jpeg`; empty for an unknown type."""
    bare = mimetype.partition(";")[0].strip().lower()
    if bare in _UNSAID:
        return ""
    return _ENDINGS.get(bare) or mimetypes.guess_extension(bare) or ""


def named(filename: str, mimetype: str) -> str:
    """The name under which a file is sent: with an ending, so that phones open it."""
    name = filename or "file"
    if PurePosixPath(name).suffix and not PurePosixPath(name).suffix[1:].isspace():
        known = _by_name(PurePosixPath(name).suffix.lower())
        # "nº 3.2026" has no ending, though it has a dot.
        if known or not PurePosixPath(name).suffix[1:].isdecimal():
            return name
    ending = ending_of(mimetype)
    return f"{name[: _LONGEST_NAME - len(ending)]}{ending}"


def _by_name(ending: str) -> str:
    return _TYPES.get(ending) or mimetypes.types_map.get(ending, "")


def _zip_ending(head: bytes) -> str:
    """What a ZIP file without a known ending is, by the names of its first entries: its directory
    may be of any size."""
    if head[30:38] == b"mimetype":
        # OpenDocument, EPUB: the first entry is the type itself, uncompressed.
        said = head[38:138].split(b"PK")[0].decode("ascii", "replace")
        return next((e for e, kind in _TYPES.items() if said == kind), ".zip")
    if b"[Content_Types].xml" in head or b"_rels/.rels" in head:
        places = {head.find(name): ending for name, ending in _INSIDE.items() if name in head}
        return places[min(places)] if places else ".zip"
    return ".apk" if b"AndroidManifest.xml" in head else ".zip"


def _is_text(head: bytes) -> bool:
    """UTF-8 (cut anywhere) or plain ASCII, without control characters."""
    if not head:
        return False
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(head) < _HEAD or error.start < len(head) - 4:
            return False
        text = head[: error.start].decode("utf-8")
    return not re.search(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]", text)


def _text_type(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "text/html"
    if start.startswith(b"<?xml"):
        return "application/xml"
    return "image/svg+xml" if start.startswith(b"<svg") else "text/plain"
