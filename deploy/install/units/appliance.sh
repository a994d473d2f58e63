#!/bin/sh
# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
#
# The command `appliance` of the version that runs, with the site's settings. Called by root it becomes the appliance's
# own user, so that it leaves no file that the service cannot write. `analyze` stays who called it, to read that person's
# folder; `backup` and `restore` too, as they read and write the site's settings, and see to whose their files are.
# PYTHONSAFEPATH: no module is taken from the folder that it was called in, here or in a process that it starts.
export APPLIANCE_SETTINGS="${APPLIANCE_SETTINGS:-@SETTINGS@}" APPLIANCE_SECRETS="${APPLIANCE_SECRETS:-@SECRETS@}"
export PYTHONDONTWRITEBYTECODE=1 PYTHONNOUSERSITE=1 PYTHONSAFEPATH=1
as=""
case $(id -u):${1:-} in
0:analyze | 0:backup | 0:restore) ;;
# By its path: root by way of `su` has no /sbin on its PATH.
0:*) as="/usr/sbin/runuser -u @READER_USER@ --" ;;
esac
# shellcheck disable=SC2086 # words, on purpose
exec $as @HOME@/service/bin/python -m appliance "$@"
