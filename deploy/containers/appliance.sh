#!/bin/sh
# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
#
# The command `appliance` inside a container: `podman-compose exec service appliance status`.
exec /opt/hemorrhage-appliance/service/bin/python -m appliance "$@"
