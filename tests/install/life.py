# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The order in which everything is tried, from the bundle to the purge."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from deploy.install.bundle import make_bundle
from deploy.install.layout import UNITS
from tests.install.broken_version import broken_bundle
from tests.install.other_machines import former_bundle, install_online, upgrade_from
from tests.install.trial import Trial
from tests.stepwise import TrialStep


def run(
    work: Path,
    kept: Path,
    report: Callable[[TrialStep], None],
    *,
    short: bool = False,
    former: str = "",
    online: bool = False,
) -> list[TrialStep]:
    """Go through the whole life, or with `short` its beginning and end, and return the steps.

    `former` is a commit from which an upgrade is tried too; `online` adds an installation that fetches. If the
    beginning fails, that is the end.
    """
    cache = kept / "cache"
    bundles: dict[str, Path] = {}

    def make(name: str, version: str) -> Callable[[], str]:
        def do() -> str:
            bundles[name] = make_bundle(work, cache, version)
            return f"{bundles[name].stat().st_size / 1e6:.0f} MB"

        return do

    trial = Trial(work, kept, report)
    try:
        good = trial.step("make the bundle", make("one", "1.0.0+one"))
        good = good and trial.step("boot a fresh Debian 12", trial.boot)
        good = good and trial.step("refuse a damaged bundle", lambda: trial.refuse_a_damaged_bundle(bundles["one"]))
        good = good and trial.step("install, the network cut", lambda: trial.install(bundles["one"]))
        good = good and trial.step("first study by C-STORE", trial.first_study)
        good = good and trial.step("the viewer", trial.viewer)
        good = good and trial.step("systemd-analyze security", trial.exposure)
        if not good:
            return trial.steps
        if not short:
            _go_through_its_life(trial, bundles, make, work, cache)
        trial.step("purge", trial.purge)
        if not short:
            trial.step("the documents' commands", trial.documents)
        trial.machine.remove()
        if former:
            trial.step(
                f"upgrade from {former}",
                lambda: upgrade_from(
                    work / "former", kept, former_bundle(work, cache, former), bundles["one"], "1.0.0+one"
                ),
            )
        if online:
            trial.step("install with a network", lambda: install_online(work / "online", kept))
    finally:
        trial.machine.remove()
    return trial.steps


def _go_through_its_life(
    trial: Trial, bundles: dict[str, Path], make: Callable[[str, str], Callable[[], str]], work: Path, cache: Path
) -> None:
    """Do every step between the first study and the end."""
    trial.step("install again", lambda: trial.install_again(bundles["one"]))
    for unit in UNITS:
        trial.step(f"kill -9 {unit}", partial(trial.kill, unit, main=True))
    for unit in UNITS[:2]:
        trial.step(f"kill -9 the server of {unit}", partial(trial.kill, unit, main=False))
    trial.step("power cut in the middle of a study", trial.cut_power)
    trial.step("reboot in the middle of a study", trial.reboot)
    trial.step("close the ports, limit a unit", trial.firewall)
    if trial.step("back up", trial.back_up):
        trial.step("restore on a fresh machine", lambda: trial.restore_elsewhere(bundles["one"]))
    if trial.step("make the next bundle", make("two", "1.0.1+two")):
        trial.step("upgrade while a study comes", lambda: trial.upgrade(bundles["two"], "1.0.1+two"))
    bundles["broken"] = broken_bundle(work, cache, "1.0.2+broken")
    trial.step("broken upgrade rolls back", lambda: trial.broken_upgrade(bundles["broken"]))
    trial.step("uninstall and install again", lambda: trial.uninstall(bundles["two"]))
