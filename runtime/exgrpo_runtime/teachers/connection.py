"""HTTP exchanges with one base URL over httpx: bytes out, bytes in, every failure named.

The transport is used without httpx's client around it: no cookies, no redirects, no authentication by netrc, and half the work.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import NamedTuple

import httpx

from exgrpo_runtime.teachers.addresses import hide_credentials
from exgrpo_runtime.teachers.failures import FinalError, PassingError, UnusableError
from exgrpo_runtime.teachers.proxies import find_proxy
from exgrpo_runtime.teachers.secrecy import encode_basic, read_credentials

MAX_REPLY_BYTES = 10 * 1024 * 1024
CONNECT_TIMEOUT_S = 10.0
"""Or the model's own time-out, if that is shorter."""
KEPT_S = 30.0
"""An idle connection is used again within so long."""


class Response(NamedTuple):
    """A whole response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """Connections to one base URL, kept open between requests.

    Args:
        url: the base URL; credentials in it are sent as basic authentication and never shown.
        key: sent as bearer token.
        timeout_s: for a whole exchange.

    Raises:
        TeacherError: the environment names a proxy that cannot be used.
    """

    def __init__(self, url: str, key: str | None, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._url = httpx.URL(f"{_drop_credentials(url)}/chat/completions")
        self._headers = _build_headers(url, key, self._url)
        self._extensions = {"timeout": {"connect": min(CONNECT_TIMEOUT_S, timeout_s)}}
        self._proxy = find_proxy(url)
        # Loading the certificates of all the world's authorities takes as long as a hundred requests.
        self._tls = httpx.create_ssl_context(verify=self._url.scheme == "https")
        self._transports: list[httpx.AsyncHTTPTransport] = []
        self._idle: list[httpx.AsyncHTTPTransport] = []

    async def post(self, body: bytes) -> Response:
        """The response to a chat completion request.

        Raises:
            PassingError: no connection, no whole reply in time, or it broke.
            FinalError: the reply is larger than MAX_REPLY_BYTES.
            UnusableError: no secure connection can be made.
        """
        request = httpx.Request(
            "POST",
            self._url,
            headers=[*self._headers, (b"Content-Length", str(len(body)).encode())],
            content=body,
            extensions=self._extensions,
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(request)
        except TimeoutError as error:
            raise PassingError(f"no whole reply within {self._timeout_s:g} s", "ill") from error
        except httpx.ConnectTimeout as error:
            raise PassingError(
                f"no connection within {min(CONNECT_TIMEOUT_S, self._timeout_s):g} s", "absent"
            ) from error
        except httpx.TimeoutException as error:
            raise PassingError(f"no reply within {self._timeout_s:g} s", "ill") from error
        except (httpx.ConnectError, httpx.ProxyError) as error:
            _refuse_tls(error)
            raise PassingError(f"no connection ({error})", "absent") from error
        except httpx.TransportError as error:
            raise PassingError(f"the connection broke ({error or type(error).__name__})", "ill") from error
        except (httpx.HTTPError, httpx.StreamError, RuntimeError) as error:  # RuntimeError: closed meanwhile
            raise FinalError(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Closes every connection."""
        self._idle.clear()
        for transport in self._transports:
            await transport.aclose()

    async def _exchange(self, request: httpx.Request) -> Response:
        # A pool looks at all of its connections for every request, so each connection is a pool of its own: the one used last
        # goes first, and those that are not needed any more are closed by the server or expire.
        transport = self._idle.pop() if self._idle else self._open_transport()
        try:
            response = await transport.handle_async_request(request)
            try:
                return Response(response.status_code, response.headers, await _read_capped(response))
            finally:
                await response.aclose()
        finally:
            self._idle.append(transport)

    def _open_transport(self) -> httpx.AsyncHTTPTransport:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEPT_S)
        transport = httpx.AsyncHTTPTransport(verify=self._tls, limits=limits, proxy=self._proxy)
        self._transports.append(transport)
        return transport


async def _read_capped(response: httpx.Response) -> bytes:
    """The whole body.

    Raises:
        FinalError: it is larger than MAX_REPLY_BYTES.
    """
    pieces, size = [], 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > MAX_REPLY_BYTES:
            raise FinalError(f"a reply of more than {MAX_REPLY_BYTES // 2**20} MiB")
        pieces.append(piece)
    return b"".join(pieces)


def _build_headers(url: str, key: str | None, target: httpx.URL) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"Host", target.netloc),
        (b"Content-Type", b"application/json"),
        (b"Accept", b"application/json"),
        (b"User-Agent", b"exgrpo"),
    ]
    credentials = read_credentials(url)
    if key is not None:
        headers.append((b"Authorization", f"Bearer {key}".encode("ascii")))
    elif credentials is not None:
        headers.append((b"Authorization", f"Basic {encode_basic(*credentials)}".encode("ascii")))
    return headers


def _drop_credentials(url: str) -> str:
    return hide_credentials(url)


def _refuse_tls(error: BaseException) -> None:
    """Returns where the connection failed for another reason than its encryption."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise UnusableError(
                f"has a certificate that cannot be verified ({cause.verify_message}). If it is your own, name its authority: "
                "export SSL_CERT_FILE=/path/to/ca.pem"
            ) from error
        if isinstance(cause, ssl.SSLError):
            raise UnusableError(
                f"does not speak TLS as https needs ({cause.reason or cause}). Is it meant to be http://?"
            ) from error
        cause = cause.__cause__ or cause.__context__
