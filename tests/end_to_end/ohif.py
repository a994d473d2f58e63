# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""OHIF in a headless Chromium, as a reader has it: what is shown, where on it which pixel of the image lies."""

from __future__ import annotations

import base64
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Error, Page, sync_playwright

# Without a GPU: WebGL on the CPU.
_OPTIONS: Final = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PATIENCE_MS: Final = 90_000
_COLOURED: Final = 24
"""Pixels of a CT are grey; whose channels differ by more than this belong to a mask."""

_SHOWN: Final = """() => {
    const element = window.cornerstone?.getEnabledElements()[0];
    const imageId = element?.viewport.getCurrentImageId?.();
    if (!imageId) return null;
    const { viewport } = element;
    const canvas = viewport.getCanvas();
    const box = viewport.element.getBoundingClientRect();
    const place = (column, row) =>
        viewport.worldToCanvas(window.cornerstone.utilities.imageToWorldCoords(imageId, [column, row]));
    return {
        instance: imageId.match(/instances\\/([0-9.]+)/)[1],
        pixels: canvas.toDataURL('image/png'),
        middle: [box.x + box.width / 2, box.y + box.height / 2],
        scale: canvas.width / canvas.clientWidth,
        corners: [place(0, 0), place(100, 0), place(0, 100)],
        lines: [...viewport.element.querySelectorAll('svg polyline')].map(line => line.getAttribute('points')),
        text: viewport.element.querySelector('svg')?.textContent ?? '',
    };
}"""

_OTHER: Final = """last => {
    const id = window.cornerstone.getEnabledElements()[0]?.viewport.getCurrentImageId?.();
    return id && !id.includes(`instances/${last}/`);
}"""
_PLACE: Final = """() => {
    const viewport = window.cornerstone.getEnabledElements()[0]?.viewport;
    return [viewport?.getCurrentImageIdIndex?.() ?? 0, viewport?.getImageIds?.().length ?? 1];
}"""
"""The number of the image in its stack, and of how many."""
_END_OF_STACK_MS: Final = 10_000
"""The first or the last image of a stack has nothing behind it if it has not changed this long after the wheel."""


@dataclass(frozen=True)
class Shown:
    """One look at the viewport.

    Attributes
    ----------
    instance: SOP Instance UID of the image.
    pixels: what the canvas shows, RGB uint8 [height, width, 3].
    lines: the closed or open lines drawn over it, each float64 [N, 2] of (row, column) on the image, the first pixel
        from 0 to 1.
    text: the words beside them.
    middle: where on the page its middle is, x and y.
    """

    instance: str
    pixels: NDArray[np.uint8]
    lines: tuple[NDArray[np.float64], ...]
    text: str
    middle: tuple[float, float]
    _to_image: NDArray[np.float64]

    @property
    def coloured(self) -> NDArray[np.bool_]:
        """Which pixels of the canvas are no grey ones, [height, width]."""
        channels = self.pixels.astype(np.int16)
        return np.asarray(np.ptp(channels, axis=2) > _COLOURED)

    def project(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask of the image [rows, columns] as it lies on the canvas, [height, width]."""
        height, width = self.pixels.shape[:2]
        y, x = np.mgrid[:height, :width] + 0.5
        column, row = np.tensordot(self._to_image, np.stack([x, y, np.ones_like(x)]), 1)
        rows, columns = np.floor(row).astype(int), np.floor(column).astype(int)
        inside = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
        return np.asarray(inside & mask[np.clip(rows, 0, mask.shape[0] - 1), np.clip(columns, 0, mask.shape[1] - 1)])


class Ohif:
    """A page of the viewer."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("response", self._note)
        # The sign that this is for research, which each browser shows once a month, is in front of the images.
        page.add_init_script(
            "localStorage.setItem('investigationalUseDialog', JSON.stringify({expiryDate: new Date(Date.now() + 1e9)}))"
        )

    def _note(self, response: Any) -> None:
        if response.status >= 400:
            self.faults.append(f"{response.status} {response.url}")

    def open(self, url: str) -> None:
        """Open a study."""
        self.page.goto(url)
        self.until("shown => shown !== null")

    def open_report(self) -> None:
        """Double-click the report in the list, and return when lines are drawn on an image."""
        self.page.get_by_text("Hemorrhage report").first.dblclick()
        self.until("shown => shown !== null && shown.lines.length > 1")

    def until(self, condition: str) -> None:
        """Return when a condition (a function in JavaScript of what is shown) holds."""
        self.page.wait_for_function(f"() => ({condition})(({_SHOWN})())", polling=250)

    def until_coloured(self) -> None:
        """Return when a mask is shown over the image."""
        end = time.monotonic() + PATIENCE_MS / 1000
        while not self.look().coloured.any():
            assert time.monotonic() < end, f"no mask is shown; {self.faults}"
            self.page.wait_for_timeout(250)

    def scroll_to(self, instance: str) -> None:
        """Turn the wheel over the image until this one is shown."""
        self.page.mouse.move(*self.look().middle)
        instances = {self.look().instance}
        for direction in (120, -120):
            while True:
                now = self.look().instance
                if now == instance:
                    return
                number, count = self.page.evaluate(_PLACE)
                longest_ms = _END_OF_STACK_MS if number in (0, count - 1) else PATIENCE_MS
                self.page.mouse.wheel(0, direction)
                try:
                    self.page.wait_for_function(_OTHER, arg=now, polling=100, timeout=longest_ms)
                except Error:  # the end of the stack
                    break
                instances.add(self.look().instance)
        raise AssertionError(f"{instance} is not among the {len(instances)} images that the wheel leads to")

    def look(self) -> Shown:
        """Return what is shown now; while the viewer takes one viewport for another, what is shown next."""
        seen: dict[str, Any] = self.page.wait_for_function(_SHOWN, polling=100).json_value()
        pixels = np.asarray(Image.open(BytesIO(base64.b64decode(seen["pixels"].partition(",")[2]))).convert("RGB"))
        origin, right, down = (np.array(corner) for corner in seen["corners"])
        to_canvas = np.column_stack([(right - origin) / 100, (down - origin) / 100, origin])
        to_image = np.linalg.inv(np.vstack([to_canvas, (0, 0, 1)]))[:2]
        lines = []
        for points in seen["lines"]:
            on_canvas = np.array(re.findall(r"(-?[\d.]+)[, ]+(-?[\d.]+)", points), np.float64)
            ones = np.ones(len(on_canvas))
            lines.append((to_image @ np.vstack([on_canvas.T, ones]))[::-1].T)
        scaled = to_image.copy()
        scaled[:, :2] /= seen["scale"]
        return Shown(seen["instance"], pixels, tuple(lines), seen["text"], tuple(seen["middle"]), scaled)


@contextmanager
def browser_page(width: int = 1200, height: int = 800) -> Iterator[Page]:
    """Yield a page of a headless Chromium."""
    path = shutil.which("chromium")
    assert path, "no chromium here: sh deploy/install-system-packages.sh tests"
    options = [*_OPTIONS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        try:
            yield browser.new_page(viewport={"width": width, "height": height})
        finally:
            browser.close()
