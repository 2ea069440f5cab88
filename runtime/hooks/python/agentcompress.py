"""Easy prompts stay on this machine: hooks for Python programs. Standard library only.

A running ``agentcompress serve`` decides. What it would answer with a local variant it answers;
everything else goes where it went before, unchanged:

    from agentcompress import offload

    @offload
    def summarise(prompt: str) -> str:
        return my_big_model(prompt)

    OpenAI(http_client=httpx.Client(transport=agentcompress.transport()))

Where the server is not there, or fails, the program's own way is taken: a hook never makes a call
fail that would have succeeded without it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import os
import urllib.error
import urllib.request
from typing import Any, Callable, Mapping, Optional

__all__ = ["Answer", "Client", "ServerError", "offload", "transport", "async_transport"]

DEFAULT_URL = "http://127.0.0.1:8080/v1"


class ServerError(Exception):
    """The server is not there, or refused. ``status`` is the HTTP status, None without an answer."""

    def __init__(self, message: str, status: Optional[int] = None):
        super().__init__(message)
        self.status = status


class Answer(str):
    """An answer's text; ``receipt`` is what the server says of it: route, model, reason, cost_usd."""

    receipt: Mapping[str, Any]

    def __new__(cls, text: str, receipt: Mapping[str, Any]) -> "Answer":
        answer = super().__new__(cls, text)
        answer.receipt = receipt
        return answer


class Client:
    """Talks to one server. Thread-safe; every call is a connection of its own.

    url: with its /v1; by default AGENTCOMPRESS_URL, else the server's default address.
    decide_timeout, timeout: seconds for a decision, and for an answer.
    """

    def __init__(self, url: Optional[str] = None, *, decide_timeout: float = 2.0,
                 timeout: float = 120.0):
        self.url = (url or os.environ.get("AGENTCOMPRESS_URL") or DEFAULT_URL).rstrip("/")
        self.decide_timeout = decide_timeout
        self.timeout = timeout
        # Not through a proxy of the environment: the server is on this machine.
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def _post(self, path: str, body: Mapping[str, Any], timeout: float) -> Any:
        request = urllib.request.Request(
            self.url + path, data=json.dumps(body).encode(),
            headers={"content-type": "application/json"}, method="POST")
        try:
            with self._open(request, timeout=timeout) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            text = error.read(4096).decode("utf-8", "replace")
            try:
                text = json.loads(text)["error"]["message"]
            except (ValueError, KeyError, TypeError):
                pass
            raise ServerError(f"{self.url}{path}: {text}", error.code) from None
        except (OSError, ValueError) as error:
            raise ServerError(f"{self.url}{path}: {error}") from None

    def route(self, prompt: Any, *, model: str = "auto") -> Mapping[str, Any]:
        """Where a prompt (text, or a list of messages) would go: place, variant, reason, ...

        Raises ServerError.
        """
        body: dict[str, Any] = {"model": model}
        body["prompt" if isinstance(prompt, str) else "messages"] = prompt
        return self._post("/route", body, self.decide_timeout)

    def chat(self, prompt: Any, *, model: str = "auto", **options: Any) -> Answer:
        """Answers a prompt (text, or a list of messages). ``options``: those of the API, as
        max_tokens or temperature. Raises ServerError."""
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        whole = self._post("/chat/completions",
                           {"model": model, "messages": messages, **options}, self.timeout)
        try:
            return Answer(whole["choices"][0]["message"]["content"], whole.get("agentcompress", {}))
        except (KeyError, IndexError, TypeError):
            raise ServerError(f"{self.url}/chat/completions: not the answer of a server") from None

    def answer_if_local(self, prompt: Any, *, model: str = "auto",
                        **options: Any) -> Optional[Answer]:
        """The local answer, or None where the full model is wanted or the server cannot answer.

        A prompt that a rule of the server keeps here is answered here or not at all: then it raises
        ServerError."""
        stays = False
        try:
            decision = self.route(prompt, model=model)
            stays = bool(decision.get("must_stay"))
            if not _is_for_here(decision):
                return None
            return self.chat(prompt, model=decision["variant"], **options)
        except (ServerError, KeyError, AttributeError) as error:
            if stays:
                raise ServerError(f"kept here by a rule, and not answered: {error}") from error
            return None


def _is_for_here(decision: Mapping[str, Any]) -> bool:
    # One that only stays here for want of the full model is not as good as the caller's.
    return decision.get("place") == "local" and (
        not decision.get("degraded") or bool(decision.get("must_stay")))


def _prompt_reader(function: Callable[..., Any], prompt: Any) -> Callable[..., Any]:
    """Finds the prompt in a call's arguments: by the name of a parameter, or by a function of them."""
    if callable(prompt):
        return prompt
    signature = inspect.signature(function)
    name = prompt
    if name is None:
        names = [n for n in signature.parameters if n not in ("self", "cls")]
        if not names:
            raise TypeError(f"{function.__qualname__} has no parameter that could be a prompt")
        name = names[0]
    elif name not in signature.parameters:
        raise TypeError(f"{function.__qualname__} has no parameter '{name}'")

    def read(*args: Any, **kwargs: Any) -> Any:
        return signature.bind(*args, **kwargs).arguments.get(name)

    return read


def offload(function: Optional[Callable[..., Any]] = None, *, client: Optional[Client] = None,
            prompt: Any = None, model: str = "auto", **options: Any) -> Callable[..., Any]:
    """Answers easy prompts of a prompt -> text function, plain or async, here; the function answers
    the rest.

    prompt: the parameter that holds it (its first by default), or a function of the call's arguments.
    model: "auto", or "auto@0.85" for a threshold of this function's own.
    options: of local answers, as max_tokens.
    """
    if function is None:
        return lambda f: offload(f, client=client, prompt=prompt, model=model, **options)
    asked = client or Client()
    read = _prompt_reader(function, prompt)

    def answer_here(*args: Any, **kwargs: Any) -> Optional[Answer]:
        text = read(*args, **kwargs)
        if not isinstance(text, (str, list)) or not text:
            return None
        return asked.answer_if_local(text, model=model, **options)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def offloaded(*args: Any, **kwargs: Any) -> Any:
            loop = asyncio.get_running_loop()
            here = await loop.run_in_executor(None, lambda: answer_here(*args, **kwargs))
            return here if here is not None else await function(*args, **kwargs)
    else:

        @functools.wraps(function)
        def offloaded(*args: Any, **kwargs: Any) -> Any:
            here = answer_here(*args, **kwargs)
            return here if here is not None else function(*args, **kwargs)

    return offloaded


# What would not travel with a request to this machine, or be wrong there.
_DROPPED = {"authorization", "api-key", "x-api-key", "host", "content-length", "cookie",
            "openai-organization", "openai-project", "accept-encoding"}


def _redirected(client: Client, method: str, url: str,
                content: bytes) -> tuple[Optional[dict[str, Any]], bool]:
    """The body that the local server gets instead (None: the request goes where it was going), and
    whether it must not go anywhere else."""
    if method != "POST" or not url.split("?")[0].endswith("/chat/completions"):
        return None, False
    try:
        body = json.loads(content)
        decision = client.route(body["messages"])
        stays = bool(decision.get("must_stay"))
        if not _is_for_here(decision):
            return None, False
        if not stays and (body.get("tools") or body.get("n", 1) != 1):
            return None, False
        return {**body, "model": decision["variant"]}, stays
    except (ServerError, ValueError, KeyError, TypeError, AttributeError):
        return None, False


def _local_request(httpx: Any, client: Client, request: Any, body: dict[str, Any]) -> Any:
    headers = [(k, v) for k, v in request.headers.items() if k.lower() not in _DROPPED]
    return httpx.Request("POST", client.url + "/chat/completions", headers=headers, json=body,
                         extensions=request.extensions)


def transport(inner: Any = None, *, client: Optional[Client] = None) -> Any:
    """An httpx transport: chat requests that are easy go to the local server without the caller's
    key, all others to ``inner`` (httpx.HTTPTransport() by default). Needs httpx."""
    import httpx

    asked = client or Client()

    class Transport(httpx.BaseTransport):
        def __init__(self) -> None:
            self._inner = inner or httpx.HTTPTransport()
            self._here = httpx.HTTPTransport()

        def handle_request(self, request: Any) -> Any:
            body, stays = _redirected(asked, request.method, str(request.url), request.read())
            if body is not None:
                try:
                    response = self._here.handle_request(
                        _local_request(httpx, asked, request, body))
                    if stays or response.status_code < 400:
                        return response
                    response.close()
                except httpx.TransportError:
                    if stays:
                        raise
            return self._inner.handle_request(request)

        def close(self) -> None:
            self._here.close()
            self._inner.close()

    return Transport()


def async_transport(inner: Any = None, *, client: Optional[Client] = None) -> Any:
    """As transport(), for httpx.AsyncClient."""
    import httpx

    asked = client or Client()

    class Transport(httpx.AsyncBaseTransport):
        def __init__(self) -> None:
            self._inner = inner or httpx.AsyncHTTPTransport()
            self._here = httpx.AsyncHTTPTransport()

        async def handle_async_request(self, request: Any) -> Any:
            content = await request.aread()
            loop = asyncio.get_running_loop()
            body, stays = await loop.run_in_executor(
                None, _redirected, asked, request.method, str(request.url), content)
            if body is not None:
                try:
                    response = await self._here.handle_async_request(
                        _local_request(httpx, asked, request, body))
                    if stays or response.status_code < 400:
                        return response
                    await response.aclose()
                except httpx.TransportError:
                    if stays:
                        raise
            return await self._inner.handle_async_request(request)

        async def aclose(self) -> None:
            await self._here.aclose()
            await self._inner.aclose()

    return Transport()
