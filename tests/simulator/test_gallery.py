# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures, sheets, and that each page of the gallery shows what its name says."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from simulator.cli import app
from simulator.diagnosis import Diagnosis
from simulator.gallery.command import make_tiles
from simulator.gallery.pages import FIRST_SEED, Choice, PageName, Strip, plan_page
from simulator.gallery.pictures import OUTLINES, Tile, Window, head_square, picture, sheet
from simulator.gallery.views import View


def level_of(view: View) -> list[Tile]:
    """Return a picture as large as the view's geometry has slices: something that the view remembers."""
    return [Tile(np.zeros((view.geometry.shape[0], 1, 3), np.uint8), "")]


def disc(radius: float) -> np.ndarray:
    y, x = np.mgrid[:128, :128] - 64
    return np.hypot(y, x - 10) < radius


def test_a_window_shows_its_lower_edge_black_its_upper_white_and_its_centre_grey() -> None:
    for window in Window:
        width, centre = window.value
        black, grey, white = window.to_grey(np.array([centre - width, centre, centre + width]))
        assert (black, white) == (0, 255)
        assert abs(int(grey) - 127) <= 1


def test_a_picture_is_cropped_to_the_head_and_outlines_stay_outside_what_is_labelled() -> None:
    hu = np.where(disc(40), 40, -1000).astype(np.int16)
    rows, columns = head_square(hu)
    assert rows.stop - rows.start == columns.stop - columns.start < 128
    assert disc(40)[rows, columns].sum() == disc(40).sum()
    labels = np.where(disc(12), 2, 0).astype(np.uint8)
    plain = picture(hu, Window.BRAIN, 200)
    outlined = picture(hu, Window.BRAIN, 200, labels=labels)
    changed = (plain != outlined).any(axis=-1)
    assert set(map(tuple, outlined[changed])) == {OUTLINES[1]}
    assert (outlined[100, 100] == plain[100, 100]).all()


def test_a_sheet_holds_every_tile_in_rows() -> None:
    tiles = [Tile(np.full((40, 40, 3), 50 * n, np.uint8), str(n)) for n in range(1, 6)]
    page = np.asarray(sheet("five", tiles, 3))
    for n in range(1, 6):
        assert (page == 50 * n).all(axis=-1).sum() >= 1600
    assert page.shape[1] < 4 * 44


@pytest.mark.parametrize("name", list(PageName))
def test_every_page_has_strips_and_no_two_of_a_page_are_the_same(name: PageName) -> None:
    page = plan_page(name, Choice())
    assert page.strips
    assert len({repr(strip) for strip in page.strips}) == len(page.strips)
    assert str(FIRST_SEED)[:3] in repr(page.strips[0])


def test_a_page_of_one_type_shows_no_other() -> None:
    shown = {view.args[0].diagnosis for view in plan_page(PageName.TYPES, Choice(diagnosis=Diagnosis.SAH)).strips}
    assert shown == {Diagnosis.SAH}


def test_the_command_writes_a_page_of_pairs_in_which_blood_alone_differs(tmp_path: Path) -> None:
    options = "gallery --page pairs --diagnosis iph --count 2 --tile 96"
    result = CliRunner().invoke(app, [*options.split(), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    page = np.asarray(Image.open(tmp_path / "pairs.png")).astype(int)
    without, bleeding, outlined = (page[28 : 28 + 96, 4 + 100 * n : 100 + 100 * n] for n in range(3))
    assert without.std() > 20
    assert np.abs(without - bleeding).max() > 60
    coloured = (outlined.max(axis=-1) - outlined.min(axis=-1)) > 40
    assert 0 < coloured.mean() < 0.2


def test_a_page_keeps_no_head_once_its_tiles_are_made() -> None:
    view = View(FIRST_SEED, Diagnosis.NONE, None, "realistic")
    strips: list[Strip] = [partial(level_of, view)]
    assert [len(tiles) for tiles in make_tiles(strips, 1)] == [1]
    assert "geometry" not in vars(view)


def test_a_population_that_is_none_ends_with_a_usage_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["gallery", "--population", "martian", "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()
