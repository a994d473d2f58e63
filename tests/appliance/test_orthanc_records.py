# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from appliance.orthanc_records import is_orthanc_id, orthanc_time

NOBODY = "00000000-00000000-00000000-00000000-00000000"


def test_only_what_has_the_form_of_an_identifier_is_one() -> None:
    assert is_orthanc_id(NOBODY)
    for other in ("", "../system", NOBODY.upper().replace("0", "A"), NOBODY + "\n", NOBODY[:-1]):
        assert not is_orthanc_id(other)


def test_orthancs_times_are_utc() -> None:
    assert orthanc_time("19700102T000001") == 86401.0
    assert orthanc_time("") == 0.0
