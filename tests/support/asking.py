"""Asks a server's application in this process."""

import asyncio
import json
from typing import Any

import httpx

from trimetric.serve.app import create_app
from trimetric.serve.state import AppState


class Client:
    """Asks an application in this process."""

    def __init__(self, state: AppState) -> None:
        self.state, self.app = state, create_app(state)

    def ask(self, *requests: Any, **more: Any) -> list[httpx.Response]:
        """Send requests at the same time, each a path or (path, body as JSON or bytes)."""

        async def one(client: httpx.AsyncClient, request: Any) -> httpx.Response:
            if isinstance(request, str):
                return await client.get(request, **more)
            path, body = request
            content = body if isinstance(body, bytes) else json.dumps(body)
            return await client.post(path, content=content, **more)

        async def all_of_them() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost"
            ) as client:
                return await asyncio.gather(*(one(client, request) for request in requests))

        return asyncio.run(all_of_them())

    def get(self, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        """Send one request that is answered so; return its JSON."""
        [found] = self.ask(path if body is None else (path, body), **more)
        assert found.status_code == status, (path, body, found.text)
        return found.json()
