# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import logging
import warnings

import pytest
import structlog

from appliance.errors import UnavailableError
from appliance.log import describe, without_credentials
from tests.appliance.log_lines import lines


def test_a_line_carries_time_level_and_what_is_bound(stream: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(job=7, study="1.2.3"):
        structlog.get_logger("test").info("study answered", present=True)
    (line,) = lines(stream)
    assert (line["event"], line["job"], line["study"], line["present"]) == ("study answered", 7, "1.2.3", True)
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")


def test_what_libraries_log_is_json_too(stream: io.StringIO) -> None:
    logging.getLogger("some.library").warning("%d of %s", 3, "those")
    assert lines(stream)[0]["event"] == "3 of those"


def test_what_quotes_values_of_datasets_stays_silent(stream: io.StringIO) -> None:
    logging.getLogger("pydicom").warning("Invalid value for VR PN: 'Doe^Jane'")
    warnings.warn("Invalid value for VR PN: 'Doe^Jane'", UserWarning, stacklevel=1)
    assert stream.getvalue() == ""


def test_an_exception_of_others_is_told_by_type_and_place_alone(stream: io.StringIO) -> None:
    try:
        raise ValueError("Doe^Jane")
    except ValueError as error:
        logging.getLogger("some.library").exception("it broke")
        text = describe(error)
    assert text.startswith("ValueError in test_log.test_an_exception_of_others")
    assert "Doe" not in text + stream.getvalue()
    assert lines(stream)[0]["error"] == text


def test_our_own_errors_are_told_in_full() -> None:
    assert describe(UnavailableError("Orthanc does not answer")) == "Orthanc does not answer"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://me:b@there:80/x does not answer", "http://***@there:80/x does not answer"),
        ("postgresql+psycopg://me:p@ss/w:rd@there/x", "postgresql+psycopg://***@there/x"),
        ("first http://a:b@c, then https://d:e@f", "first http://***@c, then https://***@f"),
        ("'Authorization': 'Basic bWU6Yg=='", "'Authorization': 'Basic ***'"),
        ("{'Authorization': b'Token bWU6Yg=='}", "{'Authorization': b'Token ***'}"),
        ("http://me:it's<a>\"b@there:80/x is away", "http://***@there:80/x is away"),
        ("https://there/x?password=b&all=1", "https://there/x?password=***&all=1"),
        ("host=there password=head dbname=head", "host=there password=*** dbname=head"),
        ("a password is needed with orthanc.username; head", "a password is needed with orthanc.username; head"),
        ("AE title HEMORRHAGE at http://127.0.0.1:8043", "AE title HEMORRHAGE at http://127.0.0.1:8043"),
        ("about a rebuilt database, b of abc", "about a rebuilt database, b of abc"),
    ],
)
def test_credentials_are_masked_where_they_stand_and_nothing_else_is(text: str, told: str) -> None:
    assert without_credentials(text) == told
    assert describe(UnavailableError(text)) == told
