# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the service's pages, taken by Debian's Chromium as a reader sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PROGRAM: Final = "/usr/bin/chromium"
_SIZE: Final = {"width": 1440, "height": 1000}


def take_pictures(url: str, folder: Path) -> list[Path]:
    """Write pictures of the board by day and night, of the page of its first study and of the deliveries.

    Return the files. Raises what Playwright does.
    """
    from playwright.sync_api import ViewportSize, sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport=ViewportSize(width=_SIZE["width"], height=_SIZE["height"]))
            for name, path in (
                ("board-dark", "/"),
                ("deliveries", "/deliveries?all=1"),
                ("board-light", "/"),
                ("study", ""),
            ):
                page.emulate_media(color_scheme="dark" if name.endswith("-dark") else "light")
                if path:
                    page.goto(f"{url}{path}", wait_until="load")
                else:  # from the board, as a reader opens it
                    page.locator("a[href*='/studies/']").first.click()
                    page.wait_for_url("**/studies/*")
                file = folder / f"{name}.png"
                page.screenshot(path=file)
                files.append(file)
        finally:
            browser.close()
    return files
