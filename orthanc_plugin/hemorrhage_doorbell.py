# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: AGPL-3.0-or-later
"""Orthanc's side of the hemorrhage appliance: a doorbell and a button, nothing more.

It tells the appliance's service over HTTP what Orthanc noticed (new instance, stable series, deleted, started,
stopped), so that the service does not have to wait for its next look at Orthanc's change log. It also adds two REST
routes and a button to Orthanc Explorer. It reads no pixels and no DICOM, and nothing depends on it: a service that
missed a ring finds the study in Orthanc's change log. So a ring may be lost, and Orthanc must never wait for one.

All threads of Orthanc share its Python, hence the rules of this file: register only OnChange, which Orthanc calls from
a separate thread; in it, only note the news; talk to the service from another thread, with a short timeout, over a
socket (which lets the other threads run, unlike `orthanc.RestApiGet` of plugin 4.0).

It is one file that needs only the standard library, for the Python plugin 4.0 to 7: differences between them are found
by trying, never by version. Settings, all optional, in Orthanc's configuration, at its root or in its `Python` section:

    "Hemorrhage": {"ServiceUrl": "http://127.0.0.1:8044", "TimeoutSeconds": 0.5, "ExplorerButton": true}

A service on another machine is reached at its `access.host`: ServiceUrl is then https://..., Token the secret of an
account that may act, and CaFile the PEM file of the authority that signed the service's certificate, if it is no public
one.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import threading
import time
import urllib.parse

try:
    import orthanc as _orthanc
except ImportError:  # imported outside Orthanc; the importer calls `install` with an Orthanc of its own
    _orthanc = None

INSTANCES_KEPT = 8192
"""Most instances that wait for a service that does not answer; the oldest give way."""
RESOURCES_KEPT = 1024
"""The same for series, and for studies."""
INSTANCES_A_RING = 1024
"""Most instances in one message."""
RESOURCES_A_RING = 512
"""The same for series, and for studies; all together keeps a message under 160 KiB, of 256 that the service takes."""
GATHER_S = 0.05
"""News of this period go into one message, s: a scanner sends tens of slices a second."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0
"""Pause after a ring that was not answered; doubles until the longest."""
BUTTON_TIMEOUT_S = 5.0
"""How long a person who pressed the button waits for the service to take the job, s."""
ANSWER_BYTES = 1 << 20
"""Longest answer of the service that is passed on, bytes."""

DEFAULTS = {
    "ServiceUrl": "http://127.0.0.1:8044",
    "TimeoutSeconds": 0.5,
    "ExplorerButton": True,
    "Token": "",
    "CaFile": "",
}
"""All settings, with their defaults."""
ORTHANC_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{8}){4}")

# The button is in the list "Interact" of the series page; the line under it shows the state of the study. Everything
# from a server goes through .text(), never through .html(): people who see the page may be allowed to delete studies.
EXPLORER_SCRIPT = """
(function() {
  var undecided = ['receiving', 'incomplete', 'queued', 'running', 'waiting', 'delivering'];
  var parent = null;  // the study of the series that is shown, null while that is not known
  var view = 0;  // counts what is shown, so that a late answer is not shown on another series' page

  function say(sentence) {
    $('#hemorrhage-answer').text(sentence);
  }

  function errorOf(xhr) {
    try {
      return String(JSON.parse(xhr.responseText).error || 'Orthanc answers ' + xhr.status + '.');
    } catch (e) {
      return xhr.status ? 'Orthanc answers ' + xhr.status + '.' : 'Orthanc does not answer.';
    }
  }

  function sentenceOf(answer) {
    var reasons = $.map(answer.refusals || [], function(refusal) { return refusal.reason; }).join('; ');
    var probability = typeof answer.probability === 'number' ? ' (' + answer.probability.toFixed(3) + ')' : '';
    if (typeof answer.present === 'boolean' && $.inArray(answer.state, undecided) < 0) {
      return (answer.present ? 'Hemorrhage found' : 'No hemorrhage found') + probability +
        (answer.state === 'superseded' ? ', superseded by a later answer.' : '.') + ' For testing and research.';
    }
    return 'Hemorrhage service: ' + answer.state + (reasons ? ': ' + reasons : '') +
      (answer.waiting_for ? ', ' + answer.waiting_for : '') + (answer.error ? ': ' + answer.error : '');
  }

  // Shows what the service says of a job of a study, or of the study when no job is given, until that is decided.
  function follow(mine, study, job) {
    $.ajax({
      url: '../hemorrhage/status',
      data: study ? { study: study } : {},
      dataType: 'json',
      cache: false,
      success: function(status) {
        var answer = null;
        if (mine !== view) {
          return;
        }
        if (!status.service) {
          say('The hemorrhage service does not answer.');
          return;
        }
        $.each(status.service.studies || [], function(_, one) {
          $.each([one].concat(one.jobs || []), function(_, each) {
            if (job ? each.job === job : one.orthanc_id === study && !answer) {
              answer = each;
            }
          });
        });
        if (answer) {
          say(sentenceOf(answer));
          if ($.inArray(answer.state, undecided) >= 0) {
            setTimeout(function() {
              if (mine === view) {
                follow(mine, study, job);
              }
            }, 2000);
          }
        }
      }
    });
  }

  $('#series').live('pagebeforecreate', function() {
    var button = $('<a>').attr('href', '#').attr('id', 'hemorrhage-analyze').text('Analyze for hemorrhage');
    var answer = $('<p>').attr('id', 'hemorrhage-answer').css('white-space', 'normal');
    $('#series-delete').closest('ul')
      .append($('<li>').attr('data-icon', 'search').append(button))
      .append($('<li>').append(answer));
  });

  $('#series').live('pagebeforeshow', function() {
    var mine = ++view;
    parent = null;
    say('');
    if ($.mobile.pageData && $.mobile.pageData.uuid) {
      $.ajax({
        url: '../series/' + encodeURIComponent($.mobile.pageData.uuid),
        dataType: 'json',
        cache: false,
        success: function(series) {
          if (mine === view) {
            parent = series.ParentStudy;
            follow(mine, parent, null);
          }
        }
      });
    }
  });

  $('#hemorrhage-analyze').live('click', function(event) {
    var mine = ++view;
    event.preventDefault();
    if (!$.mobile.pageData || !$.mobile.pageData.uuid) {
      return;
    }
    say('Asking ...');
    $.ajax({
      type: 'POST',
      url: '../hemorrhage/series/' + encodeURIComponent($.mobile.pageData.uuid) + '/analyze',
      dataType: 'json',
      success: function(answer) {
        if (mine === view) {
          say('The hemorrhage service has taken it' + (answer.job ? ' as job ' + answer.job : '') + '.');
          follow(mine, parent, answer.job);
        }
      },
      error: function(xhr) {
        if (mine === view) {
          say(errorOf(xhr));
        }
      }
    });
  });
})();
"""


class SettingsError(Exception):
    """A setting cannot be used; its text names it, its value and what is allowed."""


class NoAnswerError(Exception):
    """The service did not answer; its text says why."""


class Settings:
    """The block `Hemorrhage` of Orthanc's configuration. Raises `SettingsError`."""

    def __init__(self, configuration: dict) -> None:
        python_section = configuration.get("Python")
        values = dict(DEFAULTS)
        for section in (configuration, python_section if isinstance(python_section, dict) else {}):
            block = section.get("Hemorrhage", {})
            if not isinstance(block, dict):
                raise SettingsError(f"Hemorrhage = {block!r}: a block of settings is expected")
            values.update(block)
        unknown = sorted(set(values) - set(DEFAULTS))
        if unknown:
            raise SettingsError(f"Hemorrhage.{unknown[0]}: no such setting; there are {', '.join(DEFAULTS)}")

        address = values["ServiceUrl"]
        try:
            parts = urllib.parse.urlsplit(address)
            if (
                parts.scheme not in ("http", "https")
                or not parts.hostname
                or parts.query
                or parts.fragment
                or parts.username
            ):
                raise ValueError
            self.scheme, self.host, self.path = parts.scheme, parts.hostname, parts.path.rstrip("/")
            self.port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        except (ValueError, AttributeError, TypeError):
            raise SettingsError(
                f"Hemorrhage.ServiceUrl = {address!r}: an address like {DEFAULTS['ServiceUrl']!r} is expected"
            ) from None
        self.timeout_s = values["TimeoutSeconds"]
        if isinstance(self.timeout_s, bool) or not isinstance(self.timeout_s, (int, float)):
            raise SettingsError(f"Hemorrhage.TimeoutSeconds = {self.timeout_s!r}: a number is expected")
        if not 0 < self.timeout_s <= 10:
            raise SettingsError(f"Hemorrhage.TimeoutSeconds = {self.timeout_s!r}: between 0 and 10 is expected")
        self.explorer_button = values["ExplorerButton"]
        if not isinstance(self.explorer_button, bool):
            raise SettingsError(f"Hemorrhage.ExplorerButton = {self.explorer_button!r}: true or false is expected")
        self.token = values["Token"]
        if not isinstance(self.token, str) or not re.fullmatch(r"[A-Za-z0-9_-]*", self.token):
            raise SettingsError("Hemorrhage.Token: the secret that `appliance accounts add` printed is expected")
        self.tls = self._tls(values["CaFile"]) if self.scheme == "https" else None

    @staticmethod
    def _tls(ca_file: str) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=ca_file or None)
        except (OSError, TypeError):
            raise SettingsError(f"Hemorrhage.CaFile = {ca_file!r}: a PEM file of certificates is expected") from None

    @property
    def url(self) -> str:
        """The service's address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


class Service:
    """The appliance's service, as seen over HTTP."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def ask(self, method: str, path: str, body: bytes, timeout_s: float) -> tuple[int, bytes]:
        """Return status and body of one exchange. Raises `NoAnswerError`.

        It makes a new connection each time: over loopback this costs a fraction of a millisecond, and a kept connection
        may have been closed by the service meanwhile.
        """
        settings = self._settings
        if settings.tls is None:
            connection = http.client.HTTPConnection(settings.host, settings.port, timeout=timeout_s)
        else:
            connection = http.client.HTTPSConnection(
                settings.host, settings.port, timeout=timeout_s, context=settings.tls
            )
        headers = {"Content-Type": "application/json"}
        if settings.token:
            headers["Authorization"] = f"Bearer {settings.token}"
        try:
            connection.request(method, settings.path + path, body, headers)
            response = connection.getresponse()
            answer = response.read(ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswerError(f"{settings.url} does not answer: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if len(answer) > ANSWER_BYTES:
            raise NoAnswerError(f"{settings.url}{path}: the answer is longer than {ANSWER_BYTES} bytes")
        return response.status, answer


class News:
    """What the service has not been told yet: one entry per resource, the newest value, bounded. Not thread-safe."""

    def __init__(self) -> None:
        self.instances: dict[str, float] = {}
        self.series: dict[str, str] = {}
        self.studies: dict[str, str] = {}
        self.orthanc: str | None = None
        self.dropped = 0

    def __bool__(self) -> bool:
        return bool(self.instances or self.series or self.studies or self.orthanc)

    def note(self, kind: str, identifier: str, value: float | str) -> None:
        """Note `value` of one of the `instances`, `series` or `studies`; the oldest entry gives way when full."""
        entries = getattr(self, kind)
        entries.pop(identifier, None)  # so that it moves to the newest end
        entries[identifier] = value
        self._trim()

    def take(self) -> dict:
        """Return the next message, in the service's format, and forget its contents."""
        message = {}
        for kind, most in (
            ("instances", INSTANCES_A_RING),
            ("series", RESOURCES_A_RING),
            ("studies", RESOURCES_A_RING),
        ):
            entries = getattr(self, kind)
            message[kind] = dict(list(entries.items())[:most])
            for identifier in message[kind]:
                del entries[identifier]
        message["orthanc"], self.orthanc = self.orthanc, None
        return message

    def put_back(self, message: dict) -> None:
        """Keep a message that was not delivered; newer notes stay as they are."""
        for kind in ("instances", "series", "studies"):
            setattr(self, kind, {**message[kind], **getattr(self, kind)})
        self.orthanc = self.orthanc or message["orthanc"]
        self._trim()

    def _trim(self) -> None:
        for entries, kept in (
            (self.instances, INSTANCES_KEPT),
            (self.series, RESOURCES_KEPT),
            (self.studies, RESOURCES_KEPT),
        ):
            while len(entries) > kept:
                del entries[next(iter(entries))]
                self.dropped += 1


class Doorbell:
    """Notes Orthanc's news, and tells the service in a separate thread."""

    def __init__(self, settings: Settings, log_info, log_warning) -> None:
        self._settings = settings
        self._service = Service(settings)
        self._log_info, self._log_warning = log_info, log_warning
        self._news = News()
        self._noted = threading.Condition()
        self._stopping = threading.Event()
        self._counters = {"instances": 0, "stable_series": 0, "deleted": 0, "rings": 0, "rings_failed": 0}
        self._answering: bool | None = None
        self._last_ring: float | None = None
        self._last_fault: str | None = None
        self._thread = threading.Thread(target=self._run, name="hemorrhage-doorbell", daemon=True)

    def start(self) -> None:
        """Start the thread that rings."""
        self._thread.start()

    def new_instance(self, identifier: str) -> None:
        """Note a new instance with the present time."""
        self._note("instances", identifier, time.time(), "instances")

    def stable_series(self, identifier: str) -> None:
        """Note that Orthanc calls a series stable."""
        self._note("series", identifier, "stable", "stable_series")

    def note_deleted(self, kind: str, identifier: str) -> None:
        """Note that one of the `instances`, `series` or `studies` was deleted."""
        if kind == "instances":  # the message has no word for it, but one that is gone is no news
            with self._noted:
                self._news.instances.pop(identifier, None)
                self._counters["deleted"] += 1
        else:
            self._note(kind, identifier, "deleted", "deleted")

    def orthanc_is(self, state: str) -> None:
        """Note that Orthanc `started` or `stopped`; with the latter the thread rings a last time and ends."""
        with self._noted:
            self._news.orthanc = state
            self._noted.notify()
        if state == "stopped":
            self._stopping.set()

    def status(self) -> dict:
        """Return what this plugin counted since Orthanc started."""
        with self._noted:
            waiting = {kind: len(getattr(self._news, kind)) for kind in ("instances", "series", "studies")}
            return {
                "service_url": self._settings.url,
                "answering": self._answering,
                "last_ring": self._last_ring,
                "last_fault": self._last_fault,
                "waiting": waiting,
                "dropped": self._news.dropped,
                **self._counters,
            }

    def _note(self, kind: str, identifier: str, value: float | str, counter: str) -> None:
        with self._noted:
            self._news.note(kind, identifier, value)
            self._counters[counter] += 1
            self._noted.notify()

    def _run(self) -> None:
        pause_s = 0.0
        while True:
            with self._noted:
                while not self._news:
                    self._noted.wait()
            stopping = self._stopping.wait(pause_s or GATHER_S)
            with self._noted:
                if not self._news:  # all of it was deleted meanwhile
                    continue
                message = self._news.take()
            heard = self._ring(message)
            with self._noted:
                if not heard:
                    self._news.put_back(message)
                if stopping and not (heard and self._news):
                    return
            pause_s = 0.0 if heard else min(max(2 * pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)

    def _ring(self, message: dict) -> bool:
        """Tell the service; return False when it did not accept the message."""
        # With the present time the service can tell how old a time is, whatever this machine's clock says.
        body = json.dumps({**message, "sent": time.time()}).encode()
        try:
            status, _ = self._service.ask("POST", "/doorbell", body, self._settings.timeout_s)
            fault = None if 200 <= status < 300 else f"{self._settings.url}/doorbell answers {status}"
        except NoAnswerError as error:
            fault = str(error)
        with self._noted:
            turned = self._answering is not (fault is None)
            self._answering, self._last_fault = fault is None, fault or self._last_fault
            self._counters["rings" if fault is None else "rings_failed"] += 1
            if fault is None:
                self._last_ring = time.time()
        if turned and fault:  # once, not with every try
            self._log_warning(f"hemorrhage: {fault}; Orthanc goes on, and the service catches up when it is back")
        elif turned:
            self._log_info(f"hemorrhage: {self._settings.url} answers")
        return fault is None


class Routes:
    """The REST routes below `/hemorrhage`."""

    def __init__(self, settings: Settings, doorbell: Doorbell) -> None:
        self._settings = settings
        self._service = Service(settings)
        self._doorbell = doorbell

    def status(self, output, uri: str, **request) -> None:  # noqa: ARG002 - Orthanc's signature
        """`GET /hemorrhage/status`: the plugin's own counters and the service's status, null when it is silent.

        With `?study=` and Orthanc's identifier of a study, the service's status of that study alone.
        """
        if request["method"] != "GET":
            output.SendMethodNotAllowed("GET")
            return
        answer = {"plugin": self._doorbell.status(), "service": None, "error": None}
        study = request["get"].get("study", "")
        path = f"/status?study={study}" if ORTHANC_ID.fullmatch(study) else "/status"
        try:
            status, body = self._service.ask("GET", path, b"", self._settings.timeout_s)
            answer["service"] = _json_object(body) if status == 200 else None
            if answer["service"] is None:
                answer["error"] = f"{self._settings.url}/status answers {status} and no JSON object"
        except NoAnswerError as error:
            answer["error"] = str(error)
        output.AnswerBuffer(json.dumps(answer), "application/json")

    def analyze(self, output, uri: str, **request) -> None:  # noqa: ARG002 - Orthanc's signature
        """`POST /hemorrhage/series/{id}/analyze`: pass the request to the service; 202, its refusal, or 503."""
        if request["method"] != "POST":
            output.SendMethodNotAllowed("POST")
            return
        identifier = request["groups"][0]
        if not ORTHANC_ID.fullmatch(identifier):
            _send(output, 404, {"error": "This is no identifier of a series in Orthanc."})
            return
        try:
            status, body = self._service.ask("POST", f"/series/{identifier}/analyze", b"", BUTTON_TIMEOUT_S)
        except NoAnswerError:
            _send(output, 503, {"error": "The hemorrhage service does not answer. Is it running?"})
            return
        answer = _json_object(body)
        if status not in (202, 404, 409, 429, 503) or answer is None:
            _send(output, 503, {"error": f"The hemorrhage service could not take the job (it answers {status})."})
            return
        _send(output, status, answer)


def _json_object(body: bytes) -> dict | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _send(output, status: int, answer: dict) -> None:
    body = json.dumps(answer)
    # No Content-Type: Orthanc adds its own in some versions (1.12.7: text/plain), and two are worse than that one.
    try:
        output.SendHttpStatus(status, body)
    except TypeError:  # plugins before 4.2 also want the length
        output.SendHttpStatus(status, body, len(body))


def install(orthanc) -> Doorbell | None:
    """Register everything with the plugin's module `orthanc`; None, and a line in its log, with wrong settings.

    A wrong setting of this plugin must not keep Orthanc from receiving studies, so it never raises for one.
    """
    try:
        settings = Settings(json.loads(orthanc.GetConfiguration()))
    except SettingsError as error:
        orthanc.LogError(f"hemorrhage: {error}. The doorbell stays off; the service finds studies by itself, later.")
        return None
    doorbell = Doorbell(settings, orthanc.LogInfo, orthanc.LogWarning)
    routes = Routes(settings, doorbell)

    changes, levels = orthanc.ChangeType, orthanc.ResourceType
    deletable = {levels.STUDY: "studies", levels.SERIES: "series", levels.INSTANCE: "instances"}

    def on_change(change, level, identifier) -> None:
        if change == changes.NEW_INSTANCE:
            doorbell.new_instance(identifier)
        elif change == changes.STABLE_SERIES:
            doorbell.stable_series(identifier)
        elif change == changes.DELETED and level in deletable:
            doorbell.note_deleted(deletable[level], identifier)
        elif change == changes.ORTHANC_STARTED:
            doorbell.orthanc_is("started")
        elif change == changes.ORTHANC_STOPPED:
            doorbell.orthanc_is("stopped")

    try:
        orthanc.RegisterOnChangeCallback(on_change)
    except Exception as error:  # its class depends on the version; Orthanc must start nevertheless
        orthanc.LogError(f"hemorrhage: {error}: the doorbell stays off; the service finds studies by itself, later.")
    orthanc.RegisterRestCallback("/hemorrhage/status", routes.status)
    orthanc.RegisterRestCallback("/hemorrhage/series/([^/]*)/analyze", routes.analyze)
    if settings.explorer_button and hasattr(orthanc, "ExtendOrthancExplorer"):
        orthanc.ExtendOrthancExplorer(EXPLORER_SCRIPT)
    doorbell.start()
    return doorbell


if _orthanc is not None:
    install(_orthanc)
