# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the board, taken by Debian's Chromium as a reader sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PROGRAM: Final = "/usr/bin/chromium"
_SIZE: Final = {"width": 1440, "height": 1000}


def take_pictures(url: str, folder: Path) -> list[Path]:
    """Write a picture of the board by day and by night; return the files. Raises what Playwright does."""
    from playwright.sync_api import ViewportSize, sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        try:
            for scheme in ("light", "dark"):
                page = browser.new_page(viewport=ViewportSize(width=_SIZE["width"], height=_SIZE["height"]))
                page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
                page.goto(url, wait_until="load")
                file = folder / f"board-{scheme}.png"
                page.screenshot(path=file)
                files.append(file)
        finally:
            browser.close()
    return files
