"""What the status of a response means: a reply, a failure that passes, one that does not, or an endpoint of no use."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.addresses import hide_credentials
from exgrpo_runtime.teachers.connection import Response
from exgrpo_runtime.teachers.failures import FinalError, PassingError, UnusableError
from exgrpo_runtime.teachers.wire import is_out_of_quota, read_error


def judge_status(response: Response, model: Model) -> None:
    """Returns where the status is 200.

    Raises:
        PassingError: 408, 429, 5xx.
        UnusableError: a redirect, 401, 402, 403, 404, or an account without funds.
        FinalError: any other.
    """
    status = response.status
    if status == 200:
        return
    said = read_error(response.body)
    if status in (408, 429) or status >= 500:
        if status == 429 and is_out_of_quota(response.body):
            raise UnusableError(f"says that the account is out of funds (HTTP {status}: {said}).")
        wait_s = parse_retry_after(response.headers.get("retry-after"))
        raise PassingError(f"HTTP {status}: {said}", "busy" if status == 429 else "ill", wait_s)
    if 300 <= status < 400:
        target = hide_credentials(response.headers.get("location", "?"))
        raise UnusableError(
            f"redirects to {target}, which is not followed. Give the address meant as base_url."
        )
    if status in (401, 403):
        given = f"the key in {model.api_key.env}" if model.api_key else "a request without api_key"
        raise UnusableError(f"refuses {given} (HTTP {status}: {said}).")
    if status == 402:
        raise UnusableError(f"says that the account is out of funds (HTTP {status}: {said}).")
    if status == 404:
        raise UnusableError(
            f"does not know the address or the model `{model.id}` (HTTP 404: {said}). "
            "Is base_url right? It usually ends in /v1."
        )
    raise FinalError(f"HTTP {status}: {said}")


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
