# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python environments/advisories.py`: can PyPI's advisories be read from here? Exit 0 when they can, else 2.

`pip-audit` calls packages clean when an index answers without advisories, as mirrors do. So a release that has known
vulnerabilities is asked for first: where none of its own are told, nothing is known of any other.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request

KNOWN = "https://pypi.org/pypi/jinja2/2.4.1/json"
"""A release of 2010 with several advisories."""
TIMEOUT_S = 30


def find_fault(url: str = KNOWN) -> str:
    """Return why the advisories cannot be read; empty when they can."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            told = json.load(answer)
        advisories = told.get("vulnerabilities")
    except (OSError, ValueError, AttributeError) as error:
        return f"{url} cannot be read ({getattr(error, 'reason', None) or error or type(error).__name__})"
    return "" if advisories else f"{url} tells of no advisory, and there are some: a mirror without them?"


def main(url: str = KNOWN) -> int:
    """Say what could not be checked, and return the exit status."""
    fault = find_fault(url)
    if fault:
        print(
            f"Not audited: {fault}. No package of environments/service.lock and environments/triton.lock was compared "
            "with known vulnerabilities; none is known to be free of them. Run `make audit` where pypi.org can be "
            "reached.",
            file=sys.stderr,
        )
    return 2 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
