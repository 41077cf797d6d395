"""Pages opened in a headless Chromium, which notes what it asks for and what it complains about."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, field

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
DESKTOP, PHONE = (1280, 900), (390, 844)


@dataclass
class Seen:
    """What a page did while it was open."""

    requests: list = field(default_factory=list)
    complaints: list = field(default_factory=list)


@contextlib.contextmanager
def opened(path, *, size=DESKTOP, scheme="light"):
    """The page, and what it did; skipped where there is no Chromium."""
    if CHROMIUM is None:
        pytest.skip(f"no Chromium on PATH ({', '.join(NAMES)}): install Debian's package chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        width, height = size
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            permissions=["clipboard-read", "clipboard-write"],
        )
        page = context.new_page()
        seen = Seen()
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.goto(path.resolve().as_uri())
        yield page, seen
        browser.close()
