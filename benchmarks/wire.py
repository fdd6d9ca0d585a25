"""The two ways to the app: its websocket, and files over HTTP, both with the token against forged requests."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin, Subprotocol

PATIENCE = 60.0  # seconds in which the app must answer
_XSRF = "_streamlit_xsrf"


class TabError(Exception):
    """The connection is lost, or the app has not answered as it should."""


async def fetch_token(url: str) -> str:
    """The token that a browser gets as a cookie with its first answer."""
    _, head = await _http(url, "GET", "/_stcore/health")
    return head.partition(f"{_XSRF}=")[2].partition(";")[0]


async def open_socket(url: str, token: str) -> ClientConnection:
    """A connection for the messages of a session."""
    try:
        return await connect(
            f"{url.replace('http', 'ws', 1)}/_stcore/stream",
            origin=Origin(url),
            subprotocols=[Subprotocol("streamlit"), Subprotocol(token)],
            additional_headers={"Cookie": f"{_XSRF}={token}"},
            max_size=None,
            ping_interval=None,
            proxy=None,
        )
    except (WebSocketException, OSError) as error:
        raise TabError(f"no connection: {error}") from error


async def send_file(url: str, token: str, method: str, path: str, name: str = "", data: bytes = b"") -> None:
    """PUT a file where the app has said, or DELETE it."""
    part = f'--scan\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'.encode()
    body = part + data + b"\r\n--scan--\r\n" if data else b""
    cookie = f"Cookie: {_XSRF}={token}\r\nX-Xsrftoken: {token}\r\n"
    kind = "Content-Type: multipart/form-data; boundary=scan\r\n"
    status, _ = await _http(url, method, path, cookie + kind, body)
    if status >= 300:
        raise TabError(f"{method} of a file: HTTP {status}")


async def _http(url: str, method: str, path: str, headers: str = "", body: bytes = b"") -> tuple[int, str]:
    """Status and head of the answer."""
    place = urlsplit(url)
    try:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        head = f"{method} {path} HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: close\r\n{headers}"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
    except (OSError, TimeoutError) as error:
        raise TabError(f"{method} failed: {error}") from error
    return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[0].decode("latin-1")
