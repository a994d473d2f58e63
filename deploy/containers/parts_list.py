# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The parts list (SBOM) of an image or a bundle, as CycloneDX 1.6.

It names Debian's packages, Python's with hashes, and the viewer.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from appliance.errors import ApplianceError

_PACKAGE = re.compile(r"^([A-Za-z0-9._-]+)==([^\s\\;]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def parts_list(
    name: str,
    version: str,
    debian: str,
    locks: Iterable[str],
    further: Iterable[dict[str, Any]] = (),
    kind: str = "container",
) -> dict[str, Any]:
    """Return the parts list of an image, or of another `kind` of component as CycloneDX names them.

    Parameters
    ----------
    name, version
        Of the whole.
    debian
        Lines of package, version and architecture, with tabs between them, as dpkg-query writes them.
    locks
        The texts of the locks whose packages it has.
    further
        Parts that are in neither, as `viewer_part` makes one.

    Raises
    ------
    ApplianceError
        when a line is none of these, or a package of a lock has no hash.
    """
    parts = [_debian_part(line) for line in debian.splitlines() if line.strip()]
    known: set[str] = set()
    for lock in locks:
        for part in _python_parts(lock):
            if part["bom-ref"] not in known:
                known.add(part["bom-ref"])
                parts.append(part)
    parts += further
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": kind, "name": name, "version": version, "bom-ref": name}},
        "components": parts,
    }


def viewer_part(version: str, sha512: str) -> dict[str, Any]:
    """Return the part that the OHIF viewer is; `sha512` in base64 as npm's registry gives it, of the whole package."""
    url = f"pkg:npm/%40ohif/app@{quote(version, safe='')}"
    return {
        "type": "application",
        "name": "@ohif/app",
        "version": version,
        "purl": url,
        "bom-ref": url,
        "licenses": [{"license": {"id": "MIT"}}],
        "hashes": [{"alg": "SHA-512", "content": b64decode(sha512).hex()}],
    }


def _debian_part(line: str) -> dict[str, Any]:
    fields = line.split("\t")
    if len(fields) != 3:
        raise ApplianceError(f"this is no line of dpkg-query: {line!r}")
    name, version, architecture = fields
    url = f"pkg:deb/debian/{quote(name, safe='')}@{quote(version, safe='')}?arch={architecture}&distro=debian-12"
    return {"type": "library", "name": name, "version": version, "purl": url, "bom-ref": url}


def _python_parts(lock: str) -> Iterable[dict[str, Any]]:
    found = list(_PACKAGE.finditer(lock))
    ends = [match.start() for match in found[1:]] + [len(lock)]
    for match, end in zip(found, ends, strict=True):
        name, version = match[1].lower().replace("_", "-"), match[2]
        hashes = _HASH.findall(lock[match.start() : end])
        if not hashes:
            raise ApplianceError(f"the lock gives no hash of {name}")
        url = f"pkg:pypi/{name}@{quote(version, safe='')}"
        # CycloneDX's hashes are of one file; a lock allows several files of a package, one for each platform.
        allowed = [{"name": "hemorrhage:allowed-sha256", "value": each} for each in hashes]
        yield {"type": "library", "name": name, "version": version, "purl": url, "bom-ref": url, "properties": allowed}
