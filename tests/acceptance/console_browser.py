"""A real browser on the console: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from running_gateway import RunningGateway

from ops.local.layout import ROOT

__all__ = ["DESKTOP", "LAPTOP", "PHONE", "Console", "Film", "console", "installed_chromium"]

_FLAGS = [
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--force-color-profile=srgb"),
]
_SECONDS = 30_000
DESKTOP, LAPTOP, PHONE = (1440, 900), (1360, 800), (390, 844)
IMAGES = ROOT / "docs" / "images"
_TOO_WIDE = """() => {
    const words = (e) => `${e.tagName} ${e.className} ${e.textContent.slice(0, 40)}`;
    const scrolls = (e) => e.scrollWidth > e.clientWidth + 1;
    const found = [...document.querySelectorAll("html, .main, .page, .side, .table-box, dialog")]
        .filter(scrolls).map(words);
    const parts = "button, a, input, select, td, h1, h2, p, .pill, .figures";
    for (const part of document.querySelectorAll(parts)) {
        const box = part.getBoundingClientRect();
        if (box.width && box.right > innerWidth + 1 && !part.closest(".tabs"))
            found.push(words(part));
    }
    const tab = document.querySelector(".tabs [aria-current=page]");
    if (tab && tab.getBoundingClientRect().right > innerWidth + 1) found.push(words(tab));
    return found;
}"""
_DARK = """() => {
    const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g);
    return Number(r) + Number(g) + Number(b) < 382;
}"""


def _shown() -> set[str]:
    """Names of the pictures that the docs show."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    return {name for page in pages for name in re.findall(r"images/([\w.-]+)", page.read_text())}


def installed_chromium() -> str:
    """Path of the browser; root installs it where it is missing, others are shown how."""
    found = shutil.which("chromium")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (("update",), ("install", "-y", "--no-install-recommends", "chromium")):
            subprocess.run(
                ["apt-get", *command],
                check=False,
                env=environment,
                capture_output=True,
                timeout=240,
            )
        found = shutil.which("chromium")
    if found is None:
        pytest.skip("no browser: apt-get install chromium")
    return found


@contextlib.contextmanager
def console(gateway: RunningGateway, folder: Path) -> Iterator[Console]:
    """A browser with a window on the gateway's console, where nobody is logged in."""
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=installed_chromium(), args=[*_FLAGS, *root]
        )
        try:
            yield Console(gateway, browser, folder)
        finally:
            browser.close()


class Console:
    """What a person does there. Everything that the page calls and complains of is recorded."""

    def __init__(self, gateway: RunningGateway, browser: Browser, folder: Path) -> None:
        self.gateway = gateway
        self._folder = folder
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.page = self._window(browser)

    def _window(self, browser: Browser) -> Page:
        width, height = DESKTOP
        context = browser.new_context(
            viewport={"width": width, "height": height},
            locale="en-GB",
            color_scheme="light",
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.set_default_timeout(_SECONDS)
        expect.set_options(timeout=_SECONDS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda line: self._hear(line.type, line.text))
        page.on("request", lambda asked: self.hosts.add(asked.url.split("/")[2]))
        page.on("request", lambda asked: self._no_key_in(asked.url))
        return page

    def _hear(self, kind: str, text: str) -> None:
        """Refused requests are reported by the browser as well: they are shown to the person."""
        if kind == "error" and not text.startswith("Failed to load resource"):
            self.complaints.append(text)

    def _no_key_in(self, url: str) -> None:
        if self.gateway.state.api_key in url:
            self.complaints.append(f"the key is in an address: {url}")

    def kept(self, picture: str) -> Path:
        """Where a picture goes: into docs/images when GATEWAY_SCREENSHOTS is set and a page of the
        docs shows it, else to the test's folder."""
        wanted = os.environ.get("GATEWAY_SCREENSHOTS") and picture in _shown()
        return (IMAGES if wanted else self._folder) / picture

    def open(self, path: str = "") -> None:
        self.page.goto(f"{self.gateway.state.url}/console/{path}")

    def log_in(self, key: str = "") -> None:
        self.page.get_by_label("API key").fill(key or self.gateway.state.api_key)
        self.page.get_by_role("button", name="Log in").click()

    def add_phone(self, name: str, number: str) -> None:
        self.dock.get_by_role("button", name="New phone").first.click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_label("Name").fill(name)
        dialog.get_by_label("Number").fill(number)
        dialog.get_by_role("button", name="Add").click()
        expect(self.dock.get_by_text(name)).to_be_visible()

    def create(self, session: str) -> None:
        """Ends in the dialog that shows the QR code."""
        self.page.get_by_role("button", name="New session").click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_label("Name").fill(session)
        dialog.get_by_role("button", name="Create").click()
        expect(self.page.get_by_role("img", name="QR code")).to_be_visible()

    def scan(self, number: str) -> None:
        """Let a virtual phone scan the code of the dialog."""
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_label("Virtual phone", exact=True).select_option(number)
        dialog.get_by_role("button", name="Scan", exact=True).click()
        expect(self.page.get_by_role("heading", name="Linked")).to_be_visible()

    @property
    def dock(self) -> Locator:
        return self.page.get_by_role("complementary", name="Virtual phones")

    def say_on_phone(self, text: str) -> None:
        """From the phone that is open in the dock."""
        self.dock.get_by_label("Message from the phone").fill(text)
        self.dock.get_by_role("button", name="Send from the phone").click()
        expect(self.dock.locator(".bubble.out", has_text=text)).to_be_visible()

    def say(self, text: str) -> Locator:
        """In the chat that is open; returns the bubble."""
        self.page.get_by_label("Message", exact=True).fill(text)
        self.page.get_by_role("button", name="Send", exact=True).click()
        return self.page.locator(".conversation .bubble.out:not(.draft)", has_text=text)

    def figure(self, name: str) -> str:
        return self.page.locator(f".session-head [data-figure={name}]").inner_text()

    def theme(self, name: str) -> None:
        while self.page.get_by_role("button", name=f"{name} theme").count() == 0:
            self.page.get_by_role("button", name="theme; change").click()

    def picture(self, name: str) -> None:
        """A screenshot. Of few colours: they are for a README."""
        # Toasts go by themselves as well: away with whichever is there.
        self.page.evaluate("document.querySelectorAll('.toast button').forEach((b) => b.click())")
        # Nothing is under the pointer.
        self.page.mouse.move(0, 0)
        self.page.wait_for_timeout(350)
        shown = Image.open(io.BytesIO(self.page.screenshot()))
        few = shown.convert("RGB").quantize(
            256, method=Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE
        )
        few.save(self.kept(f"console-{name}.png"), optimize=True)

    @contextlib.contextmanager
    def filmed(self, name: str) -> Iterator[Film]:
        """An animated picture of what happens meanwhile, kept where `picture` keeps its own."""
        film = Film(self.page)
        yield film
        film.save(self.kept(f"console-{name}.webp"))

    def size(self, size: tuple[int, int]) -> None:
        self.page.set_viewport_size({"width": size[0], "height": size[1]})

    def too_wide(self) -> list[str]:
        """What makes the page, a table or the navigation scroll sideways, or reaches beyond the
        window. Tabs may: the one that is open is scrolled to."""
        return cast(list[str], self.page.evaluate(_TOO_WIDE))

    def dark(self) -> bool:
        """The theme that is seen."""
        return bool(self.page.evaluate(_DARK))


class Film:
    """Frames of a page, each under words that say what is seen."""

    WIDTH = 960
    _BETWEEN, _LONGEST, _END = 0.25, 1.5, 3.5

    def __init__(self, page: Page) -> None:
        self._page = page
        self._frames: list[tuple[Image.Image, float]] = []
        self.words = ""

    def frame(self) -> bool:
        """Add what is seen now, unless that was just done. False, for use in a condition."""
        now = time.monotonic()
        if not self._frames or now - self._frames[-1][1] > self._BETWEEN:
            shown = Image.open(io.BytesIO(self._page.screenshot())).convert("RGB")
            height = shown.height * self.WIDTH // shown.width
            shown = shown.resize((self.WIDTH, height), Image.Resampling.LANCZOS)
            self._frames.append((self._subtitled(shown), now))
        return False

    def hold(self, seconds: float) -> None:
        """Go on for a while."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.frame()
            self._page.wait_for_timeout(100)

    def _subtitled(self, shown: Image.Image) -> Image.Image:
        whole = Image.new("RGB", (shown.width, shown.height + 44), "#0f1714")
        whole.paste(shown, (0, 0))
        font = ImageFont.load_default(size=20)
        ImageDraw.Draw(whole).text((18, shown.height + 10), self.words, "#e9efec", font)
        return whole

    def save(self, file: Path) -> None:
        images = [image for image, _ in self._frames]
        times = [at for _, at in self._frames]
        lasts = [min(b - a, self._LONGEST) for a, b in itertools.pairwise(times)] + [self._END]
        file.parent.mkdir(parents=True, exist_ok=True)
        images[0].save(
            file,
            save_all=True,
            append_images=images[1:],
            duration=[round(1000 * one) for one in lasts],
            loop=0,
            quality=62,
            method=4,
            minimize_size=True,
        )
