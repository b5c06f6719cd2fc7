"""The proxy that the environment names for a URL, as other programs read it."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from exgrpo_artifact.errors import TeacherError
from exgrpo_runtime.teachers.addresses import is_local


def find_proxy(url: str) -> str | None:
    """The proxy's URL; None where there is none, or where it is not for this URL.

    Raises:
        TeacherError: what the environment names is no proxy, or one whose protocol needs a package that is not installed.
    """
    parts = urlsplit(url)
    if is_local(url) or not parts.hostname or proxy_bypass(parts.hostname):
        return None
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found:
        return None
    proxy = found if "://" in found else f"http://{found}"
    _verify(proxy, parts.hostname, f"{parts.scheme}_proxy" if parts.scheme in proxies else "all_proxy")
    return proxy


def _verify(proxy: str, host: str, variable: str) -> None:
    """Tries the proxy's address, of which a message shows nothing: it may hold a password."""
    try:
        given = urlsplit(proxy)
        is_address = bool(given.hostname) and (given.port is None or given.port > 0)
        # Only opened, never used: this is where httpx looks at the address and for the package of its protocol.
        httpx.AsyncHTTPTransport(verify=False, proxy=proxy)
    except (ValueError, httpx.InvalidURL):
        is_address = False
    except ImportError as error:
        raise TeacherError(
            f"the environment names a SOCKS proxy for {host} ({variable}), which needs a package: pip install socksio. "
            f"To go there without a proxy: export no_proxy={host}"
        ) from error
    if not is_address:
        raise TeacherError(
            f"the environment names a proxy for {host} ({variable}) that is no address such as http://proxy:3128. "
            f"To go there without a proxy: export no_proxy={host}"
        )
