#!/bin/sh
# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
#
# The command `appliance` of the version that runs, with the site's settings. Called by root it becomes the appliance's
# own user, so that it leaves no file that the service cannot write; `analyze` stays who called it, to read that
# person's folder.
export APPLIANCE_SETTINGS="${APPLIANCE_SETTINGS:-@SETTINGS@}" APPLIANCE_SECRETS="${APPLIANCE_SECRETS:-@SECRETS@}"
export PYTHONDONTWRITEBYTECODE=1 PYTHONNOUSERSITE=1
as=""
if [ "$(id -u)" -eq 0 ] && [ "${1:-}" != analyze ]; then
    as="runuser -u @READER_USER@ --"
fi
# shellcheck disable=SC2086 # words, on purpose
exec $as @HOME@/service/bin/python -m appliance "$@"
