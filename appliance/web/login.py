# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What others may do from other machines: every request needs an account, and its role decides.

It comes before the whole application on the address for other machines. Only health is open to everybody, without its
reasons: load balancers and probes know no secret.
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from appliance.ledger.records import AuditEvent
from appliance.metrics import Metrics
from appliance.web.accounts import Account, Accounts, Role
from appliance.web.looks import Looks

HERE: Final = "this machine"
"""The name of a user without an account on this machine."""
NOBODY: Final = "nobody"
"""The name of whoever asks for health from another machine."""
_METRICS: Final = "/metrics"
_OPEN: Final = ("/health/live", "/health/ready")
_LOG: Final = "/log"
"""The audit trail: what colleagues looked at is not for everybody who may look at patients."""
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="Hemorrhage appliance", charset="UTF-8"'}


def may_act(scope: Scope) -> bool:
    """Return whether the account of a request has the role for more than looking; on this machine everybody has."""
    return Role(scope.get("hemorrhage.role", Role.ACT)).may(Role.ACT)


def identify(scope: Scope) -> str:
    """Return the account of a request: `HERE` on this machine, `NOBODY` for health from another machine."""
    return str(scope.get("hemorrhage.account", HERE))


class Login:
    """Passes on requests of accounts whose role allows them; answers 401 and 403 otherwise."""

    def __init__(self, app: ASGIApp, accounts: Accounts, metrics: Metrics, looks: Looks) -> None:
        self._app = app
        self._accounts = accounts
        self._metrics = metrics
        self._looks = looks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer why it is refused."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reading = scope["method"] in ("GET", "HEAD")
        account = self._account(scope)
        if account is None:
            if reading and scope["path"] in _OPEN:
                await self._app({**scope, "hemorrhage.account": NOBODY}, receive, send)
                return
            self._turn_away(scope, NOBODY, "no account")
            answer = JSONResponse({"error": "an account is needed: its name and secret"}, 401, _CHALLENGE)
            await answer(scope, receive, send)
            return
        needed = Role.ACT
        if reading and scope["path"] != _LOG:
            needed = Role.METRICS if scope["path"] in (_METRICS, *_OPEN) else Role.LOOK
        if not account.role.may(needed):
            self._turn_away(scope, account.name, "role")
            refused = JSONResponse({"error": f"the role {needed} is needed, and this account has {account.role}"}, 403)
            await refused(scope, receive, send)
            return
        who = {"hemorrhage.account": account.name, "hemorrhage.role": account.role}
        await self._app({**scope, **who}, receive, send)

    def _turn_away(self, scope: Scope, who: str, why: str) -> None:
        self._metrics.turned_away.labels(why).inc()
        self._looks.note(AuditEvent.TURNED_AWAY, who, origin=str((scope.get("client") or ("",))[0]), why=why)

    def _account(self, scope: Scope) -> Account | None:
        given = Headers(scope=scope).getlist("authorization")
        return self._accounts.identify(given[0]) if len(given) == 1 else None
