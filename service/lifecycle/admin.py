"""Who may load and unload: whoever knows the admin token, or, where nobody else can reach the server,
everybody; but never a web page.

A page in the operator's browser can send requests to the operator's own machine. Browsers add an Origin
header to every POST, so its mere presence gives a page away.
"""

import hmac
import ipaddress
from collections.abc import Mapping

from models.errors import UsageError
from service.errors import Forbidden, Unauthorized
from service.settings import Settings

_LEAST_CHARACTERS = 16


def check_settings(settings: Settings) -> None:
    """Raises UsageError for control without protection; the token itself is never shown."""
    token = settings.admin_token.get_secret_value()
    if token and (
        len(token) < _LEAST_CHARACTERS or not token.isascii() or token.split() != [token]
    ):
        raise UsageError(
            f"--admin-token: must have at least {_LEAST_CHARACTERS} ASCII characters and no spaces; "
            'one is made by: python3 -c "import secrets; print(secrets.token_urlsafe())"'
        )
    if settings.model_control_mode == "explicit" and not token and not _is_loopback(settings.host):
        raise UsageError(
            f"--model-control-mode explicit on {settings.host} would let everybody who reaches it load "
            "and unload models: set SLIPWAY_ADMIN_TOKEN, or listen on 127.0.0.1"
        )


def authorize(headers: Mapping[str, str], settings: Settings) -> None:
    """`headers` in lower case. Raises Forbidden or Unauthorized."""
    if "origin" in headers:
        raise Forbidden("admin routes are not for web pages; call them without an Origin header")
    token = settings.admin_token.get_secret_value()
    if not token:
        return
    scheme, _, given = headers.get("authorization", "").partition(" ")
    is_same = hmac.compare_digest(given.strip().encode(), token.encode())
    if scheme.lower() != "bearer" or not is_same:
        raise Unauthorized("this route needs `Authorization: Bearer` with the admin token")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
