"""The chat completions protocol: request bodies out, replies in.

Endpoints differ in what they leave out, so everything but `choices[0].message` is optional here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from exgrpo_runtime.teachers.json_modes import Mode, build_format
from exgrpo_runtime.teachers.teacher import Reply, Request


class ProtocolError(Exception):
    """The body is no chat completion; the text says what it is instead."""


def build_body(request: Request, mode: Mode = "none") -> bytes:
    """The JSON body of a request; sampling that is None is left to the endpoint."""
    sampling = request.used_sampling
    body: dict[str, Any] = {"model": request.model.id, "messages": request.messages}
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.max_tokens is not None:
        body["max_tokens"] = sampling.max_tokens
    if mode != "none":
        body.update(build_format(request.schema, mode))
    return json.dumps(body).encode("ascii")


def parse_body(body: bytes, *, latency_s: float | None = None, endpoint: str | None = None) -> Reply:
    """The reply in a response of status 200, with what the caller knows of its making.

    Raises:
        ProtocolError: it is HTML, not JSON, or JSON of another shape.
    """
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "HTML" if looks_like_html(text) else "other text"
        raise ProtocolError(f"{kind}, not JSON") from error
    message = _find_message(value)
    if message is None:
        raise ProtocolError(_describe_shape(value))
    usage = value.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    tokens = (_read_count(usage.get("prompt_tokens")), _read_count(usage.get("completion_tokens")))
    reason = value["choices"][0].get("finish_reason")
    content = _read_content(message.get("content"))
    return Reply(
        mend_surrogates(content) if content else None,
        *tokens,
        error=None if content else _describe_silence(message),
        finish_reason=reason if isinstance(reason, str) else None,
        latency_s=latency_s,
        endpoint=endpoint,
    )


def read_error(body: bytes) -> str:
    """What an error response says, on one line, at most 300 characters."""
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "an HTML page" if looks_like_html(text) else " ".join(text.split())[:300]
    error = value.get("error", value) if isinstance(value, dict) else value
    message = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(message).split())[:300]


def is_out_of_quota(body: bytes) -> bool:
    """Whether a 429 means that the account is empty, which no waiting mends."""
    try:
        error = json.loads(body)["error"]
        return "insufficient_quota" in (error.get("code"), error.get("type"))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return False


def looks_like_html(text: str) -> bool:
    """Whether a text begins as a page does."""
    head = text.lstrip("\ufeff \t\r\n")[:200].lower()
    return head.startswith(("<!doctype", "<html", "<head", "<body", "<?xml", "<!--"))


def mend_surrogates(text: str) -> str:
    """The text with surrogate pairs joined and lone halves replaced, so that it can be stored as UTF-8.

    >>> mend_surrogates("a" + chr(0xd800))
    'a\ufffd'
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _find_message(value: Any) -> Mapping[str, Any] | None:
    try:
        message = value["choices"][0]["message"]
    except (KeyError, IndexError, TypeError):
        return None
    return message if isinstance(message, Mapping) else None


def _describe_shape(value: Any) -> str:
    if isinstance(value, dict) and value.get("error"):
        return f"an error: {read_error(json.dumps(value).encode())}"
    keys = ", ".join(value)[:100] if isinstance(value, dict) else ""
    return "JSON without choices[0].message" + (f" (its keys: {keys})" if keys else "")


def _describe_silence(message: Mapping[str, Any]) -> str:
    refusal = message.get("refusal")
    said = f"refused: {refusal}" if isinstance(refusal, str) and refusal else "an empty message"
    return f"the model answered with {said}"[:300]


def _read_content(content: Any) -> str:
    """Text of a message's content, which some endpoints send in parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return ""


def _read_count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
