"""The secrets that one endpoint is sent, and texts without them: a careless proxy says back what it was sent.

Invariant: what an endpoint says is freed of them before it is shortened, since half a key is a secret too.
"""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import unquote, urlsplit

SECRET_LENGTH = 12
"""Characters of the shortest secret that is looked for in what a model says: `none` or `EMPTY`, which local servers are given, is a
word."""
_HIDDEN = "***"


class Secrets:
    """What must not be shown of a key and of the credentials in a URL.

    Args:
        url: as the user gives it.
        key: sent as bearer token.
    """

    def __init__(self, url: str, key: str | None) -> None:
        pair = read_credentials(url)
        user, password = pair or ("", "")
        raw = urlsplit(url).password or urlsplit(url).username or ""
        found = {key or "", password or user, raw if pair else "", encode_basic(*pair) if pair else ""}
        self._secrets = sorted(filter(None, found), key=len, reverse=True)

    def hide(self, text: str) -> str:
        """The text with stars in the place of every secret."""
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return text

    def hide_in_body(self, body: bytes, *, is_error: bool) -> bytes:
        """A response's body with stars for secrets; in a reply, which a word would spoil, for those only that are no word."""
        for secret in self._secrets:
            if is_error or len(secret) >= SECRET_LENGTH:
                body = body.replace(secret.encode(), _HIDDEN.encode())
        return body


def read_credentials(url: str) -> tuple[str, str] | None:
    """User and password of a URL, `""` where there is no password; None where it names no user.

    >>> read_credentials("http://me:p%40ss@host/v1")
    ('me', 'p@ss')
    """
    parts = urlsplit(url)
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")


def encode_basic(user: str, password: str) -> str:
    """What stands behind `Basic` in a header (RFC 7617)."""
    return b64encode(f"{user}:{password}".encode()).decode("ascii")
