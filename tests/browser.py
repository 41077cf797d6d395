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


class Started:
    """One Chromium for all pages of a file of tests: starting it takes longer than most pages."""

    browser = playwright = None

    def get(self):
        """It, started when it is first asked for."""
        if self.browser is None:
            sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
            self.playwright = sync_api.sync_playwright().start()
            self.browser = self.playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        return self.browser

    def end(self):
        """At the end of the file: the event loop of playwright would be in the way of others (see conftest.py)."""
        if self.playwright is not None:
            self.browser.close()
            self.playwright.stop()
            self.browser = self.playwright = None


CHROME = Started()


@contextlib.contextmanager
def opened(path, *, size=DESKTOP, scheme="light"):
    """The page, in a profile of its own, and what it did; skipped where there is no Chromium."""
    if CHROMIUM is None:
        pytest.skip(f"no Chromium on PATH ({', '.join(NAMES)}): install Debian's package chromium")
    width, height = size
    context = CHROME.get().new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        permissions=["clipboard-read", "clipboard-write"],
    )
    try:
        page = context.new_page()
        seen = Seen()
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.goto(path.resolve().as_uri())
        yield page, seen
    finally:
        context.close()
