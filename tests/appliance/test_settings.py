# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from appliance.cli import app
from appliance.errors import SettingsError
from appliance.settings import Settings
from appliance.settings_sources import load_settings

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _no_settings_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("APPLIANCE_SETTINGS", raising=False)


def fault(toml: str) -> str:
    """Return what is said of a settings file that is wrong."""
    file = Path("wrong.toml")
    file.write_text(toml)
    with pytest.raises(SettingsError) as raised:
        load_settings(file)
    assert raised.value.__cause__ is None or SECRET not in str(raised.value.__cause__)
    return str(raised.value)


@pytest.mark.parametrize(
    ("toml", "name", "value", "allowed"),
    [
        ("[intake]\nquiet_s = 9000", "intake.quiet_s", "9000", "less than or equal to 600"),
        ("[service]\nport = 'high'", "service.port", "'high'", "valid integer"),
        ("[triton]\nprofile = 'tpu'", "triton.profile", "'tpu'", "'cpu', 'gpu' or 'gpu-datacentre'"),
        ("[intake]\nsince = '2026-01-01'", "intake.since", "'2026-01-01'", "YYYYMMDD"),
        ("state_dir = 7", "state_dir", "7", "path"),
        (
            "[finding]\nthreshold = 0.4\nextend_score = 0.6",
            "finding.extend_score",
            "0.6",
            "at most finding.threshold, which is 0.4",
        ),
    ],
)
def test_a_wrong_setting_is_told_by_name_value_and_what_is_allowed(
    toml: str, name: str, value: str, allowed: str
) -> None:
    told = fault(toml)
    assert f"{name} = {value}: " in told
    assert allowed in told
    assert "wrong.toml" in told


def test_a_pacs_that_may_not_send_the_priors_it_is_asked_for_is_told() -> None:
    receivers = "receivers = ['PACS=PACS1@10.0.0.5:104']"
    told = fault(f"[orthanc]\n{receivers}\n[prior]\npacs = 'PACS'")
    assert "prior" in told
    assert "orthanc.senders has to allow PACS1@ADDRESS" in told
    for right in (
        f"[orthanc]\n{receivers}\nsenders = ['pacs1@10.0.0.5']",
        f"[orthanc]\n{receivers}\nsenders = ['*']",
        "",
    ):
        Path("right.toml").write_text(f"{right}\n[prior]\npacs = 'PACS'\n")
        assert load_settings(Path("right.toml")).prior.pacs == "PACS"


def test_every_wrong_setting_is_told_at_once() -> None:
    told = fault("[intake]\nquiet_s = 0\npoll_s = 0\n[service]\nworkers = 99")
    assert all(name in told for name in ("intake.quiet_s", "intake.poll_s", "service.workers"))


@pytest.mark.parametrize(
    ("toml", "name"),
    [
        (f"[orthanc]\npassword = ['{SECRET}']", "orthanc.password"),
        (f"[orthanc]\npasword = '{SECRET}'", "orthanc.pasword"),
        (f"[orthank]\npassword = '{SECRET}'", "orthank"),
        (f"[orthanc]\nurl = ['http://me:{SECRET}@there']", "orthanc.url"),
        (f"[ledger]\nurl = ['postgresql://me:{SECRET}@there']", "ledger.url"),
        (f"ledger = 'postgresql://me:{SECRET}@there'", "ledger"),
        (f"password = '{SECRET}'", "password"),
    ],
)
def test_what_may_be_a_secret_is_not_told_with_its_name(toml: str, name: str) -> None:
    told = fault(toml)
    assert f"  {name}: " in told
    assert SECRET not in told


@pytest.mark.parametrize(
    ("toml", "extend_score"),
    [("", 0.5), ("join_mm = 5", 0.5), ("threshold = 0.9", 0.5), ("threshold = 0.4", 0.4), ("extend_score = 0.7", 0.7)],
)
def test_lesions_are_extended_from_one_half_or_from_a_lower_threshold_unless_the_site_says_otherwise(
    toml: str, extend_score: float
) -> None:
    Path("appliance.toml").write_text(f"[finding]\n{toml}\n")
    assert load_settings().finding.extend_score == extend_score


def test_a_threshold_of_the_environment_and_an_extending_score_of_the_file_are_judged_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("APPLIANCE_FINDING__THRESHOLD", "0.3")
    assert "finding.extend_score = 0.4: " in fault("[finding]\nextend_score = 0.4")


def test_a_settings_file_that_cannot_be_read_is_told_of() -> None:
    with pytest.raises(SettingsError, match=r"/proc/self/mem: cannot be read"):
        load_settings(Path("/proc/self/mem"))


def test_a_settings_file_that_is_not_there_is_told_of() -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: not there"):
        load_settings(Path("nowhere.toml"))


def test_a_settings_file_that_is_no_toml_is_told_of() -> None:
    assert "wrong.toml" in fault("quiet_s: 3")


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("appliance.toml").write_text("[intake]\nquiet_s = 3\npoll_s = 5\n")
    monkeypatch.setenv("APPLIANCE_INTAKE__QUIET_S", "4")
    loaded = load_settings()
    assert (loaded.intake.quiet_s, loaded.intake.poll_s) == (4, 5)


def test_the_settings_are_shown_without_their_secrets() -> None:
    Path("appliance.toml").write_text(
        f"[orthanc]\nusername = 'reader'\npassword = '{SECRET}'\n[ledger]\nurl = 'postgresql://me:{SECRET}@there/x'\n"
    )
    shown = CliRunner().invoke(app, ["settings", "--json"])
    values = json.loads(shown.stdout)
    assert (values["orthanc"]["username"], values["orthanc"]["password"]) == ("reader", "***")
    assert values["ledger"]["url"] == "***"
    table = CliRunner().invoke(app, ["settings"], env={"COLUMNS": "300"}).stdout
    assert "orthanc.password" in table
    assert SECRET not in table


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8043",
        "localhost",
        "//127.0.0.1:8043",
        "ftp://127.0.0.1",
        "http://",
        "http://:8043",
        "http://127.0.0.1:",
        "http://127.0.0.1:0",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:-1",
        "http://127.0.0.1:x",
        "http://[::1",
        "http://a b",
        "http://300.1.1.1:8043",
        "http://pacs..example",
        "http://-pacs",
        "http://pacs:8043/?x=1",
        "http://pacs:8043/#x",
        "http://pacs\\n:8043",
        "http://[v1.x]",
        "http://[fe80::1%25eth0]",
        "http://[::1]x",
        "http://x[::1]",
        "http://[127.0.0.1]",
        "http://pacs:80:80",
        "http://pacs:8_0",
        "http://pacs:",
        "http://@pacs",
        "http:/pacs",
        "//pacs",
        "http://pacs/%zz",
        "http://pacs/../x",
        "http://pacs.",
        "http://pacs?",
        "",
    ],
)
def test_an_address_of_orthanc_that_can_never_work_stops_the_start(url: str) -> None:
    told = fault(f'[orthanc]\nurl = "{url}"')
    assert "orthanc.url = " in told
    assert "http://HOST:PORT is allowed" in told or "a host name or an IPv4 address is allowed" in told


@pytest.mark.parametrize("url", ["https://pacs.example/orthanc", "http://[::1]:8043", "http://127.0.0.1:8043/"])
def test_an_address_of_orthanc_that_can_work_does_not(url: str) -> None:
    Path("appliance.toml").write_text(f'[orthanc]\nurl = "{url}"\n')
    assert load_settings().orthanc.url == url


def test_a_password_in_an_address_is_neither_taken_nor_told() -> None:
    told = fault(f"[orthanc]\nurl = 'http://me:{SECRET}@there@pacs:8043'")
    assert "orthanc.url = '***@pacs:8043'" in told
    assert "settings of their own" in told
    assert SECRET not in told


@pytest.mark.parametrize("title", ["", " ", "A" * 17, "A\\\\B", " A", "A ", "\u00c4RZTE", "A\\tB", "A\\nB"])
def test_an_ae_title_that_dicom_does_not_know_stops_the_start(title: str) -> None:
    assert "orthanc.aet = " in fault(f'[orthanc]\naet = "{title}"')


@pytest.mark.parametrize(("user", "password"), [("reader", ""), ("", SECRET), ("a:b", SECRET), ("a\\nb", SECRET)])
def test_a_user_and_a_password_go_together(user: str, password: str) -> None:
    told = fault(f'[orthanc]\nusername = "{user}"\npassword = "{password}"')
    assert "orthanc.password: " in told or "orthanc.username = " in told
    assert SECRET not in told


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("[orthanc]\npasword = 'x'", "orthanc.pasword: no such setting; did you mean orthanc.password?"),
        ("[orthanc]\nURL = 'x'", "orthanc.URL: no such setting; did you mean orthanc.url?"),
        ("[orthank]\nurl = 'x'", "orthank: no such setting; did you mean orthanc?"),
        ("quiet_s = 3", "quiet_s: no such setting; did you mean intake.quiet_s?"),
        ("[orthanc]\nquiet_s = 3", "orthanc.quiet_s: no such setting; did you mean intake.quiet_s?"),
        ("[log]\nzzz = 3", "log.zzz: no such setting; there are log.max_mib"),
        ("UNKNOWN = 3", "UNKNOWN: no such setting; there are state_dir, disk_low_gb, orthanc, triton"),
        ("intake = 3", "intake: this is a section: [intake] is allowed, with its settings below it"),
        ("[service]\nport = true", "service.port = True: neither true nor false is allowed here"),
    ],
)
def test_a_name_that_is_no_setting_is_answered_with_the_one_that_was_meant(toml: str, told: str) -> None:
    said = fault(toml)
    assert told in said
    assert "Extra inputs" not in said
    assert "valid dictionary" not in said


def test_a_section_of_the_environment_that_is_none_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLIANCE_PORT", "tcp://10.0.0.1:8044")  # Kubernetes sets such for a service of this name
    load_settings()
    monkeypatch.setenv("APPLIANCE_INTAK__QUIET_S", "3")
    with pytest.raises(SettingsError, match=r"APPLIANCE_INTAK__QUIET_S .*: no such section; did you mean intake\?"):
        load_settings()
    monkeypatch.delenv("APPLIANCE_INTAK__QUIET_S")
    monkeypatch.setenv("APPLIANCE_INTAKE", f"{{{SECRET}")
    with pytest.raises(SettingsError, match=r"the environment: .*intake") as raised:
        load_settings()
    assert SECRET not in str(raised.value)


def every_setting() -> Iterator[tuple[str, str, FieldInfo]]:
    """Yield section (empty for none), name and description of every setting there is."""
    for section, outer in Settings.model_fields.items():
        inner = getattr(outer.annotation, "model_fields", None)
        if inner is None:
            yield "", section, outer
        else:
            yield from ((section, name, field) for name, field in inner.items())


SETTINGS = list(every_setting())
NAMES = [".".join(filter(None, (section, name))) for section, name, _ in SETTINGS]
NONSENSE: list[Any] = [
    [[]],
    {"a": 1},
    {},
    math.inf,
    -math.inf,
    math.nan,
    -1,
    1e300,
    10**400,
    "\0",
    "a\nb",
    b"\xff",
    object(),
]


@pytest.mark.parametrize("setting", SETTINGS, ids=NAMES)
def test_no_setting_takes_nonsense(setting: tuple[str, str, FieldInfo]) -> None:
    section, name, _ = setting
    for nonsense in NONSENSE:
        if name == "destinations" and nonsense == {}:
            continue  # there are none
        given: dict[str, Any] = {section: {name: nonsense}} if section else {name: nonsense}
        if section == "orthanc" and name == "password":
            if isinstance(nonsense, str):
                continue  # a password may hold anything
            given["orthanc"]["username"] = "reader"
        with pytest.raises(SettingsError) as raised:
            load_settings(**given)
        told = str(raised.value)
        assert ".".join(filter(None, (section, name))) in told, nonsense
        assert "Value error" not in told


@pytest.mark.parametrize("setting", SETTINGS, ids=NAMES)
def test_every_number_has_a_least_and_a_greatest_value(setting: tuple[str, str, FieldInfo]) -> None:
    _, _, field = setting
    if field.annotation not in (int, float, float | None):
        return
    bounds = {kind for rule in field.metadata for kind in ("ge", "gt", "le", "lt") if hasattr(rule, kind)}
    assert bounds & {"ge", "gt"}
    assert bounds & {"le", "lt"}


@pytest.mark.parametrize("name", ["state_dir", "triton.model_repository", "triton.environment"])
def test_an_empty_path_does_not_mean_the_folder_that_one_happens_to_be_in(name: str) -> None:
    section, _, field = name.rpartition(".")
    header = f"[{section}]\n" if section else ""
    assert f"{name} = '': a path" in fault(f"{header}{field} = ''")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me@there/x",
        "ledger.sqlite",
        "postgres",
        f"oracle://me:{SECRET}@there",
        f"postgresql://me:{SECRET}@there:abc/x",
        f"postgresql://me:{SECRET}@there:99999/x",
        f"postgresql://me:{SECRET}@there:0/x",
        f"postgresql://me:{SECRET}@there:/x",
        f"postgresql://me:{SECRET}@[::1/x",
        f"postgresql://me:{SECRET}@the re/x",
        f"postgresql://me:{SECRET}@there",
        f"postgresql+asyncpg://me:{SECRET}@there/x",
        "postgresql://",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://there/x",
        "sqlite:////x?mode=ro",
        "sqlite+aiosqlite:////x",
        "://",
    ],
)
def test_a_ledger_that_cannot_be_opened_stops_the_start_and_its_address_is_not_told(url: str) -> None:
    told = fault(f"[ledger]\nurl = '{url}'")
    assert "ledger.url: sqlite:////FILE and postgresql" in told
    assert SECRET not in told
    assert f"ledger.url = {url}" not in told
    assert "literal" not in told


@pytest.mark.parametrize(
    "url",
    ["sqlite:////var/x.sqlite", "postgresql+psycopg://me:p@there:5433/x", "postgresql:///x", "postgresql://a,b/x"],
)
def test_a_ledger_that_may_be_there_does_not_stop_the_start(url: str) -> None:
    Path("appliance.toml").write_text(f'[ledger]\nurl = "{url}"\n')
    assert load_settings().ledger.url == url


def test_a_default_that_follows_a_wrong_setting_is_not_called_wrong_too() -> None:
    said = fault("[finding]\nthreshold = 1.5")
    assert "finding.threshold = 1.5" in said
    assert "extend_score" not in said
    assert "Pydantic" not in said
