# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium: Debian's, driven by Playwright. One is started for a whole run of tests.

It logs in where a page asks for an account, and remembers what went wrong on a page: errors of scripts, and what the
Content-Security-Policy kept out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

SIZE: Final = {"width": 1440, "height": 900}
PATIENCE_MS: Final = 120_000
"""How long is waited for what a page is to show, or for what is to be clicked on it: the machine may be busy."""
_SERIOUS: Final = ("serious", "critical")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield the browser. Fails with what to install where it is missing."""
    path = shutil.which("chromium")
    assert path, "no chromium here: sh deploy/install-system-packages.sh tests"
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def tab(browser: Browser, url: str, **options: Any) -> Iterator[tuple[Page, list[str]]]:
    """Yield a tab that goes to addresses below `url`, and the list of what goes wrong in it."""
    context = browser.new_context(base_url=url, viewport=SIZE, **options)
    context.set_default_timeout(PATIENCE_MS)
    page, faults = context.new_page(), []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.append(f"{message.text} ({message.location.get('url')})")

    page.on("console", note)
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page, faults
    context.close()


def barriers(page: Page) -> list[str]:
    """Return what axe finds serious or critical on a page: each rule with the elements at fault."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes']]}"
        for one in found
        if one["impact"] in _SERIOUS
    ]
