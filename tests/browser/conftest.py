"""A headless Chromium for the pages that lactoolkit writes: Debian's, driven by Playwright."""

import os
import shutil

import pytest

_CHROMIUM = os.environ.get("LACTOOLKIT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def browser():
    """A running Chromium."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs Playwright: `tox -e browser`, or `pip install playwright`"
    )
    if _CHROMIUM is None:
        pytest.skip("needs Chromium: `apt-get install chromium`, or its path in LACTOOLKIT_CHROMIUM")
    with playwright.sync_playwright() as driver:
        # Without a sandbox, for containers that run as root; the pages are our own.
        instance = driver.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        yield instance
        instance.close()


@pytest.fixture
def open_page(browser):
    """Opens a file; at the end of the test, nothing may have been written to the console, nor fetched from anywhere."""
    contexts, complaints, requests = [], [], []

    def open_file(path, **options):
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.resolve().as_uri())
        page.complaints = complaints
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert complaints == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requests), requests
