"""Where a model is reached: base URLs and key, from the spec or from variables of the environment."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from exgrpo_artifact.errors import TeacherError
from exgrpo_artifact.manifest import EnvRef, Model

OPENAI_URL = "https://api.openai.com/v1"
"""What the OpenAI protocol means where a spec gives no base_url."""

_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def resolve_urls(model: Model) -> tuple[str, ...]:
    """The model's base URLs, each once, without a trailing slash.

    Raises:
        TeacherError: a variable is not set, or a URL is none.
    """
    references = (model.base_url or OPENAI_URL, *model.more_urls)
    return tuple(dict.fromkeys(_resolve_url(model, reference) for reference in references))


def resolve_key(model: Model) -> str | None:
    """The API key, or None where the spec names none.

    Raises:
        TeacherError: its variable is not set, or holds what no key has.
    """
    if model.api_key is None:
        return None
    key = _read_env(model, model.api_key)
    if not key.isascii() or not key.isprintable():
        raise TeacherError(f"model `{model.name}`: {model.api_key.env} holds characters that no key has.")
    return key


def hide_credentials(url: str) -> str:
    """The URL without user, password and query.

    >>> hide_credentials("http://me:secret@host/v1?key=1")
    'http://host/v1'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "?"
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()


def is_local(url: str) -> bool:
    """Whether the URL is this machine's own loopback, which no proxy reaches."""
    return urlsplit(url).hostname in _LOCAL_HOSTS


def _resolve_url(model: Model, given: str | EnvRef) -> str:
    url = _read_env(model, given) if isinstance(given, EnvRef) else given
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
        is_usable = is_usable and (parts.port is None or parts.port > 0) and not any(map(str.isspace, url))
    except ValueError:
        is_usable = False
    if not is_usable:
        # What a variable holds is not shown: it may be the key, or a URL with a password that is cut in the wrong place.
        shown = f"what {given.env} holds" if isinstance(given, EnvRef) else f"`{hide_credentials(url)}`"
        raise TeacherError(
            f"model `{model.name}`: base_url is {shown}, which is no http(s) address such as http://localhost:8000/v1."
        )
    return url.rstrip("/").removesuffix("/chat/completions")


def _read_env(model: Model, reference: EnvRef) -> str:
    value = os.environ.get(reference.env, "").strip()
    if not value:
        raise TeacherError(
            f"model `{model.name}` needs the environment variable {reference.env}, which is not set. "
            f"Set it: export {reference.env}=…"
        )
    return value
