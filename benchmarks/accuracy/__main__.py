# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.accuracy`: see `commands.py`."""

from benchmarks.accuracy.commands import app

if __name__ == "__main__":
    app()
