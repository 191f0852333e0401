"""The docs site builds, every link in it leads somewhere, and reading it calls no other host."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
#: What a browser loads by itself.
LOADED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?(https?:)?//"""
    r"""|<link[^>]*rel=["']?(?:stylesheet|preconnect|icon|preload)[^>]*href=["']?(https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    problems = [line for line in done.stderr.splitlines() if line.startswith(("WARNING", "ERROR"))]
    assert done.returncode == 0, "\n".join(problems) or done.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    pages = [page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")]
    assert len(pages) > 25
    assert [page for page in pages if not (site / page.with_suffix(".html")).exists()] == []


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not LOADED.search(page.read_text()), page
    for style in site.rglob("*.css"):
        assert not re.search(
            r"url\([\"']?(https?:)?//|@import [\"'](https?:)?//", style.read_text()
        )


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_what_contributors_are_sent_to_is_there(page: str) -> None:
    named = re.findall(r"`((?:actors|api|cluster|sandbox|tests|docs)/[\w./-]*)`", _text(page))
    assert len(named) > 15
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_decision_is_in_the_index() -> None:
    index = _text("docs/decisions/index.md")
    records = {one.name for one in (ROOT / "docs/decisions").glob("*.md")} - {"index.md"}
    assert {name for name in records if f"]({name})" not in index} == set()


def _text(page: str) -> str:
    return (ROOT / page).read_text()
