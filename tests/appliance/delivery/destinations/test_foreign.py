# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What of another system's text may be logged."""

from __future__ import annotations

import pytest

from appliance.delivery.destinations.foreign import origin, quote_foreign

HEADER = {"PatientName": "Müller^Ann Li=病", "PatientID": "0012345", "PatientBirthDate": "19600102"}


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("no order for MÜLLER, Ann", "no order for ***, ***"),
        ("no order for M?ller^LI", "no order for ***^***"),
        ("no order for M\ufffd\ufffdller", "no order for ***"),
        ("no order for Mueller_Ann (病)", "no order for ***_*** (***)"),
        ("unknown patient PID0012345 or 12345", "unknown patient PID*** or ***"),
        ("born 19600102, 1960-01-02, 2.1.1960 or 01/02/1960", "born ***, ***, *** or ***"),
        ("planning of the list failed", "planning of the list failed"),
        ("line\r\n\x1b[31mtwo\u202e", "line [31mtwo"),
        ("field 19 of 600102 is wrong", "field 19 of 600102 is wrong"),
    ],
)
def test_the_patient_and_control_characters_are_taken_out_of_a_text(text: str, quoted: str) -> None:
    assert quote_foreign(text, HEADER) == quoted


def test_a_text_is_cut_after_it_was_masked() -> None:
    quoted = quote_foreign("x" * 196 + "0012345" + "y" * 70000, HEADER)
    assert len(quoted) == 200
    assert quoted == "x" * 196 + "***…"
    assert quote_foreign("as it is", {}) == "as it is"


def test_of_a_url_scheme_host_and_port_are_named() -> None:
    assert origin("https://user:pass@hooks.example:8443/services/T0/B0/secret?code=x") == "https://hooks.example:8443"
    assert origin("http://[::1]/a") == "http://[::1]"
