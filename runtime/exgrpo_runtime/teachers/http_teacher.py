"""Teachers behind an OpenAI-compatible URL, over httpx.

What may pass (408, 429, 5xx, time-outs, broken connections) is tried again up to the model's `tries`, with
exponential backoff, jitter and the endpoint's own Retry-After; everything else is final. The key goes into
one header and nowhere else: no message, log or file holds it.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple, NoReturn
from urllib.parse import urlsplit

import httpx

from exgrpo_artifact.errors import TeacherError
from exgrpo_artifact.manifest import EnvRef, Model
from exgrpo_runtime.teachers.pacing import Pacer
from exgrpo_runtime.teachers.teacher import Reply, Request
from exgrpo_runtime.teachers.wire import ProtocolError, build_body, is_out_of_quota, parse_body, read_error

OPENAI_URL = "https://api.openai.com/v1"
"""What the OpenAI protocol means where a spec gives no base_url."""
MAX_REPLY_BYTES = 10 * 1024 * 1024
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0
LONGEST_RETRY_AFTER_S = 600.0
"""A longer Retry-After is a refusal: the request fails and says so."""

_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


class _Passing(Exception):
    """A failure that may pass. `wait_s`: what the endpoint asked for, if it did."""

    def __init__(self, reason: str, wait_s: float | None = None, *, is_answer: bool = True) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.is_answer = is_answer


class _Final(Exception):
    """A failure of this request alone, which asking again would not mend."""


class _Response(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpTeacher:
    """One model at one URL. `ask` is safe to call from several threads.

    Args:
        model: its declaration; environment variables are looked up here.
        first_backoff_s: wait before the second attempt, doubled with each further one.

    Raises:
        TeacherError: a variable is not set, or the URL is none.
    """

    def __init__(self, model: Model, *, first_backoff_s: float = FIRST_BACKOFF_S) -> None:
        self.model = model
        self.concurrency = max(1, model.limits.concurrency)
        self._base = _resolve_url(model)
        self._shown = _hide_credentials(self._base)
        self._key = _resolve_key(model)
        self._first_backoff_s = first_backoff_s
        self._pacer = Pacer(model.limits.requests, model.limits.tokens)
        self._random = random.Random()
        self._has_answered = False
        host = urlsplit(self._base).hostname
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(model.timeout_s, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=self.concurrency),
            follow_redirects=False,
            trust_env=host not in _LOCAL_HOSTS,  # a proxy does not reach this machine's own loopback
        )

    def close(self) -> None:
        """Closes the connections and wakes threads that wait for their next attempt."""
        self._pacer.stop()
        self._client.close()

    def ask(self, request: Request) -> Reply:
        """The endpoint's reply; a request that failed for good is a Reply with its error.

        Raises:
            TeacherError: no endpoint there, not one of this protocol, or it refuses us (401, 402, 403, 404).
        """
        body = build_body(request)
        failure = _Passing("not asked")
        for attempt in range(max(1, self.model.tries)):
            if attempt and not self._pacer.pause(self._choose_wait(attempt, failure)):
                break
            if not self._pacer.admit():
                break
            try:
                reply = self._attempt(body)
            except _Final as error:
                return Reply(None, error=self._redact(str(error)))
            except _Passing as error:
                failure = error
                if error.wait_s is not None and error.wait_s > LONGEST_RETRY_AFTER_S:
                    break
                continue
            self._has_answered = True
            self._pacer.record_tokens((reply.prompt_tokens or 0) + (reply.completion_tokens or 0))
            return reply
        if not failure.is_answer and not self._has_answered and not self._pacer.is_stopped:
            tries = f"{self.model.tries} tries"
            self._refuse(f"cannot be reached: {failure} ({tries}). Is it running, and is base_url right?")
        return Reply(None, error=self._redact(f"{failure} ({attempt + 1} tries)"))

    def _attempt(self, body: Mapping[str, object]) -> Reply:
        response = self._post(body)
        self._judge_status(response)
        try:
            return parse_body(response.body)
        except ProtocolError as error:
            if not self._has_answered:
                self._refuse(f"answered with {error}: is base_url right? It usually ends in /v1.")
            raise _Final(f"answered with {error}") from error

    def _post(self, body: Mapping[str, object]) -> _Response:
        deadline = time.monotonic() + self.model.timeout_s
        try:
            with self._client.stream("POST", f"{self._base}/chat/completions", json=body) as response:
                pieces, size = [], 0
                for piece in response.iter_bytes():
                    size += len(piece)
                    if size > MAX_REPLY_BYTES:
                        raise _Final(f"a reply of more than {MAX_REPLY_BYTES // 2**20} MiB")
                    if time.monotonic() > deadline:
                        raise _Passing(f"no whole reply within {self.model.timeout_s:g} s")
                    pieces.append(piece)
                return _Response(response.status_code, response.headers, b"".join(pieces))
        except httpx.ConnectTimeout as error:
            raise _Passing(f"no connection within {self.model.timeout_s:g} s", is_answer=False) from error
        except httpx.TimeoutException as error:
            raise _Passing(f"no reply within {self.model.timeout_s:g} s") from error
        except (httpx.ConnectError, httpx.ProxyError) as error:
            raise _Passing(f"no connection ({error})", is_answer=False) from error
        except httpx.TransportError as error:
            raise _Passing(f"the connection broke ({error or type(error).__name__})") from error
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: the client was closed meanwhile
            raise _Final(f"{type(error).__name__}: {error}") from error

    def _judge_status(self, response: _Response) -> None:
        status = response.status
        if status == 200:
            return
        said = read_error(response.body)
        if 300 <= status < 400:
            target = _hide_credentials(response.headers.get("location", "?"))
            self._refuse(f"redirects to {target}, which is not followed. Give the address meant as base_url.")
        if status in (401, 403):
            given = (
                f"the key in {self.model.api_key.env}" if self.model.api_key else "a request without api_key"
            )
            self._refuse(f"refuses {given} (HTTP {status}: {said}).")
        if status == 402 or (status == 429 and is_out_of_quota(response.body)):
            self._refuse(f"says that the account is out of funds (HTTP {status}: {said}).")
        if status == 404:
            self._refuse(
                f"does not know the address or the model `{self.model.id}` (HTTP 404: {said}). "
                "Is base_url right? It usually ends in /v1."
            )
        if status in (408, 429) or status >= 500:
            wait_s = parse_retry_after(response.headers.get("retry-after"))
            if status == 429 and wait_s is not None and wait_s <= LONGEST_RETRY_AFTER_S:
                self._pacer.hold_all(wait_s)
            raise _Passing(f"HTTP {status}: {said}", wait_s)
        raise _Final(f"HTTP {status}: {said}")

    def _choose_wait(self, attempt: int, failure: _Passing) -> float:
        if failure.wait_s is not None:
            return failure.wait_s
        backoff = min(LONGEST_BACKOFF_S, self._first_backoff_s * 2 ** (attempt - 1))
        return backoff * self._random.uniform(0.5, 1.5)

    def _refuse(self, reason: str) -> NoReturn:
        raise TeacherError(self._redact(f"teacher `{self.model.name}` at {self._shown} {reason}"))

    def _redact(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def parse_retry_after(value: str | None) -> float | None:
    """Seconds to wait by a Retry-After header, a number or a date; None where none can be read.

    >>> parse_retry_after("2")
    2.0
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if seconds == seconds else None


def _resolve_url(model: Model) -> str:
    given = model.base_url or OPENAI_URL
    url = _read_env(model, given) if isinstance(given, EnvRef) else given
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
    except ValueError:
        is_usable = False
    if not is_usable:
        where = f" ({model.base_url.env})" if isinstance(model.base_url, EnvRef) else ""
        raise TeacherError(
            f"model `{model.name}`: base_url{where} is `{_hide_credentials(url)}`, "
            "which is no http(s) address."
        )
    return url.rstrip("/").removesuffix("/chat/completions")


def _resolve_key(model: Model) -> str | None:
    if model.api_key is None:
        return None
    key = _read_env(model, model.api_key)
    if not key.isascii() or not key.isprintable():
        raise TeacherError(f"model `{model.name}`: {model.api_key.env} holds characters that no key has.")
    return key


def _read_env(model: Model, reference: EnvRef) -> str:
    value = os.environ.get(reference.env, "").strip()
    if not value:
        raise TeacherError(
            f"model `{model.name}` needs the environment variable {reference.env}, which is not set. "
            f"Set it: export {reference.env}=…"
        )
    return value


def _hide_credentials(url: str) -> str:
    """The URL without user, password and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "?"
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()
