# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m appliance` is the command `appliance`."""

from appliance.cli import app

app(prog_name="appliance")
