"""What files are found to be, and under which names they go out."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from cluster.domain.errors import Invalid
from cluster.media.file_types import UNKNOWN, checked_mimetype, named, type_of

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _zip(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name in names:
            made.writestr(zipfile.ZipInfo(name), "x")
    return out.getvalue()


def _open_document() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr(zipfile.ZipInfo("mimetype"), "application/vnd.oasis.opendocument.text")
    return out.getvalue()


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@pytest.mark.parametrize(
    ("content", "said", "filename", "found", "name"),
    [
        (b"%PDF-1.4", "", "boleto.pdf", "application/pdf", "boleto.pdf"),
        (b"%PDF-1.4", "", "", "application/pdf", "file.pdf"),
        (b"%PDF-1.4", UNKNOWN, "boleto", "application/pdf", "boleto.pdf"),
        (b"%PDF-1.4", "binary/octet-stream", "nº 3.2026", "application/pdf", "nº 3.2026.pdf"),
        (b"?", "application/pdf", "", "application/pdf", "file.pdf"),
        (b"a,b\n1,2\n", "", "t.csv", "text/csv", "t.csv"),
        ("é".encode() * 40_000, "", "t", "text/plain", "t.txt"),
        (b'{"a": 1}', "", "t.json", "application/json", "t.json"),
        (b"<!DOCTYPE html>", "", "", "text/html", "file.html"),
        (b"\x00\x01\x02", "", "", UNKNOWN, "file"),
        (b"\x00\x01\x02", "", "a.pdf", "application/pdf", "a.pdf"),
        (b"", "", "a.docx", DOCX, "a.docx"),
        (
            _zip("[Content_Types].xml", "_rels/.rels", "word/document.xml"),
            "",
            "",
            DOCX,
            "file.docx",
        ),
        (_zip("[Content_Types].xml", "xl/workbook.xml"), "", "t", XLSX, "t.xlsx"),
        (_zip("a.txt"), "", "a.docx", DOCX, "a.docx"),
        (_zip("a.txt"), "", "a.txt", "application/zip", "a.txt"),
        (_zip(), "", "", "application/zip", "file.zip"),
        (_open_document(), "", "", "application/vnd.oasis.opendocument.text", "file.odt"),
        (OLE, "", "a.xls", "application/vnd.ms-excel", "a.xls"),
        (b"\x89PNG\r\n\x1a\n", "", "a.pdf", "image/png", "a.pdf"),
        (b"RIFF....WEBPVP8 ", "", "", "image/webp", "file.webp"),
        (b"....ftypisom", "", "", "video/mp4", "file.mp4"),
        (b"....ftypisom", "", "a.m4a", "audio/mp4", "a.m4a"),
        (b"OggS", "", "", "audio/ogg", "file.oga"),
        (b"\xff\xfb\x90", "", "", "audio/mpeg", "file.mp3"),
    ],
)
def test_what_nobody_said_is_found_out(
    tmp_path: Path, content: bytes, said: str, filename: str, found: str, name: str
) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert type_of(path, said, filename) == found
    assert named(filename, found) == name


@pytest.mark.parametrize(
    "said", ["not a mime", "image", "image/", "/png", "a/b\nX: y", "a/b; c", "a/b/c", "ímage/png"]
)
def test_what_cannot_be_a_type_is_refused(said: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked_mimetype(said)
    assert refused.value.fields["field"] == "file.mimetype"


@pytest.mark.parametrize(
    "said",
    ["", "image/png", "audio/ogg; codecs=opus", 'text/plain;charset="utf-8"', "a/b+c;x=1;y=2"],
)
def test_types_are_taken_as_they_were_said(said: str) -> None:
    assert checked_mimetype(said) == said
