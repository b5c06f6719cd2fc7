"""Teachers behind OpenAI-compatible URLs.

What may pass (408, 429, 5xx, time-outs, broken connections) is tried again up to the model's `tries`, with exponential backoff, jitter
and the endpoint's own Retry-After; everything else is final. The key goes into one header and nowhere else: no message, log or file
holds it.
"""

from __future__ import annotations

import asyncio
import random

from exgrpo_artifact.errors import TeacherError
from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.addresses import resolve_key, resolve_urls
from exgrpo_runtime.teachers.endpoint import Endpoint
from exgrpo_runtime.teachers.failures import FinalError, PassingError, UnusableError
from exgrpo_runtime.teachers.fleet import Fleet
from exgrpo_runtime.teachers.json_modes import Mode
from exgrpo_runtime.teachers.pacing import Pacer
from exgrpo_runtime.teachers.patience import FIRST_BACKOFF_S, Patience
from exgrpo_runtime.teachers.teacher import Reply, Request, Teacher
from exgrpo_runtime.teachers.verdicts import judge_status
from exgrpo_runtime.teachers.wire import ProtocolError, build_body, parse_body

STOPPED = Reply(None, error="not sent: the run was stopped", is_unsent=True)


class HttpTeacher(Teacher):
    """One model at one or several URLs.

    Args:
        model: its declaration; environment variables are looked up here.
        first_backoff_s: wait before the second attempt, longer with each further one.

    Raises:
        TeacherError: a variable is not set, or a URL is none.
    """

    def __init__(self, model: Model, *, first_backoff_s: float = FIRST_BACKOFF_S) -> None:
        self.model = model
        self.concurrency = max(1, model.limits.concurrency)
        key = resolve_key(model)
        self._first_backoff_s = first_backoff_s
        self._random = random.Random()
        endpoints = [Endpoint(model, url, key) for url in resolve_urls(model)]
        self._fleet = Fleet(endpoints, Pacer(model.limits.requests, model.limits.tokens))

    def stop(self) -> None:
        """Sends nothing more."""
        self._fleet.stop()

    async def close(self) -> None:
        """Closes the connections."""
        self._fleet.stop()
        for endpoint in self._fleet.endpoints:
            await endpoint.connection.close()

    async def ask(self, request: Request) -> Reply:
        """The endpoint's reply; a request that failed for good is a Reply with its error.

        Raises:
            TeacherError: no endpoint there, not one of this protocol, or it refuses us (401, 402, 403, 404).
        """
        patience = Patience(self.model.tries, self._first_backoff_s, self._random)
        successes = self._fleet.num_successes
        while True:
            endpoint = await self._fleet.enter()
            if endpoint is None:
                return STOPPED
            sent_at = asyncio.get_running_loop().time()
            try:
                reply = await self._attempt(endpoint, request)
            except FinalError as error:
                return Reply(None, error=endpoint.secrets.hide(str(error)), tries=patience.tries + 1)
            except UnusableError as error:
                # Not chained: its text may have the key in it, which an endpoint said back.
                raise self._explain(endpoint, str(error)) from None
            except PassingError as error:
                failure = error
            else:
                return reply
            finally:
                self._fleet.leave(endpoint)
            can_move = self._fleet.note_failure(endpoint, failure, sent_at)
            # A 429 while others succeed says that the endpoint is well and that nothing was spent: it is no try of this request.
            is_overtaken = failure.cause == "busy" and self._fleet.num_successes > successes
            successes = self._fleet.num_successes
            patience.lose(failure, is_free=can_move or is_overtaken)
            if patience.is_over:
                return self._give_up(endpoint, failure, patience)
            if not can_move and failure.wait_s is None:  # else the endpoint itself is held
                await self._fleet.pause(patience.choose_wait(failure))

    async def _attempt(self, endpoint: Endpoint, request: Request) -> Reply:
        mode = endpoint.modes.choose(request.schema)
        while True:
            outcome = await self._exchange(endpoint, request, mode)
            if isinstance(outcome, Reply):
                return outcome
            mode = outcome

    async def _exchange(self, endpoint: Endpoint, request: Request, mode: Mode) -> Reply | Mode:
        """The reply, or the weaker mode to ask in: the endpoint refused this one, which is no try of the request."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        entry = self._fleet.pacer.count(started)
        response = await endpoint.connection.post(build_body(request, mode))
        body = endpoint.secrets.hide_in_body(response.body, is_error=response.status != 200)
        response = response._replace(body=body)
        if response.status != 200:
            weaker = endpoint.modes.find_weaker(request.schema, mode, response.status)
            if weaker is not None:
                return weaker
            judge_status(response, self.model)
        try:
            reply = parse_body(response.body, latency_s=loop.time() - started, endpoint=endpoint.url)
        except ProtocolError as error:
            if not endpoint.num_successes:
                raise UnusableError(
                    f"answered with {error}: is base_url right? It usually ends in /v1."
                ) from error
            raise FinalError(f"answered with {error}") from error
        endpoint.modes.prove(request.schema, mode)
        self._fleet.note_success(endpoint)
        self._fleet.pacer.settle(entry, (reply.prompt_tokens or 0) + (reply.completion_tokens or 0))
        return reply

    def _give_up(self, endpoint: Endpoint, failure: PassingError, patience: Patience) -> Reply:
        if failure.cause == "absent" and not self._fleet.num_successes:
            tries = f"{patience.tries} tries"
            raise self._explain(
                endpoint, f"cannot be reached: {failure} ({tries}). Is it running, and is base_url right?"
            )
        said = f"{failure} ({patience.tries} {'try' if patience.tries == 1 else 'tries'})"
        return Reply(None, error=endpoint.secrets.hide(said), tries=patience.tries)

    def _explain(self, endpoint: Endpoint, reason: str) -> TeacherError:
        return TeacherError(endpoint.secrets.hide(f"teacher `{self.model.name}` at {endpoint.url} {reason}"))
