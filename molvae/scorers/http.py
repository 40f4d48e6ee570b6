"""A web service as a scorer: POST {"texts": [...]}, answered by {"scores": [...]}."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from molvae.errors import UsageError
from molvae.scorers.contract import Failure, Outcome, RemoteScorer, batch_values

_PART = 65536


class Http(RemoteScorer):
    """A service that answers ``{"texts": [...]}`` with ``{"scores": [...]}``: for each text a number, a list, or an object name -> number.

    headers: sent along, for instance an Authorization. timeout: seconds for each text of a request. Raises UsageError for another scheme.
    """

    def __init__(
        self, url: str, names: Sequence[str] = ("score",), *, timeout: float | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(names)
        self.together = True
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"scorer {url!r}: an address that begins with http:// or https:// is wanted")
        self._url, self._timeout, self._headers = url, timeout, dict(headers or {})

    def within(self, timeout: float | None) -> Http:
        """A copy with this time limit."""
        return Http(self._url, self.names, timeout=timeout, headers=self._headers)

    def close(self) -> None:
        """Nothing is held: each request has its own connection."""

    def attempt(self, texts: Sequence[str]) -> list[Outcome]:
        """For each text its values, or how the service failed."""
        failure = Failure("no answer", shared=len(texts) > 1, again=True)
        try:
            reply = json.loads(self._post(list(texts)))
        except urllib.error.HTTPError as error:
            # Of the answers below 500, only 408 and 429 say that the same request may succeed later.
            failure = Failure(f"HTTP {error.code}", error.reason, error.code >= 500 or error.code in (408, 429), failure.shared)
        except TimeoutError:
            failure = Failure("timed out", f"no answer within {self._timeout} s a text", True, failure.shared)
        except (OSError, http.client.HTTPException) as error:
            late = isinstance(getattr(error, "reason", None), TimeoutError)
            failure = Failure("timed out" if late else "no answer", str(error)[:200], True, failure.shared)
        except ValueError as error:
            failure = Failure("not JSON", str(error)[:200], False, failure.shared)
        else:
            return self._read(reply, len(texts))
        return [failure] * len(texts)

    def _read(self, reply: Any, count: int) -> list[Outcome]:
        if not isinstance(reply, dict) or "scores" not in reply:
            return [Failure("no scores in the answer", repr(reply)[:80], shared=count > 1)] * count
        return batch_values(reply["scores"], count, self.names)

    def _post(self, texts: list[str]) -> bytes:
        limit = None if self._timeout is None else self._timeout * len(texts)
        until = None if limit is None else time.monotonic() + limit
        headers = {"Content-Type": "application/json", "Accept": "application/json"} | self._headers
        request = urllib.request.Request(self._url, json.dumps({"texts": texts}).encode(), headers, method="POST")
        parts: list[bytes] = []
        with urllib.request.urlopen(request, timeout=limit) as answer:
            # The library's limit is for each wait, so a service that dribbles is stopped here.
            while part := answer.read1(_PART):
                parts.append(part)
                if until is not None and time.monotonic() > until:
                    raise TimeoutError
        return b"".join(parts)
