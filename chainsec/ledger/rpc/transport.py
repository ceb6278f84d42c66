"""Carries one JSON text to a node and its answer back: over HTTP, over a WebSocket, over a socket file.

A connection is made when it is needed and dropped after any fault, so that a node may go and come back.
Layer: ledger. Not here: what the texts mean, and whether to try again (``caller``).
"""

from __future__ import annotations

import json
import select
import socket
from contextlib import ExitStack, suppress
from typing import Protocol
from urllib.parse import urlsplit

import urllib3
from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect

from chainsec.errors import ConfigError, LedgerError, NodeUnreachable

__all__ = ["Transport", "open_transport", "shown_url"]

_OK = 200
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""HTTP states that a later attempt may overcome."""
_ACCEPTING = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
_CHUNK_BYTES = 2**20
_SHOWN_CHARS = 200


class Transport(Protocol):
    """A way to a node."""

    @property
    def url(self) -> str:
        """Where the node is, without secrets."""

    @property
    def connection(self) -> int | None:
        """Number of the connection that stands, counted from 1; None where there is none, or none any more."""

    def exchange(self, text: bytes) -> bytes:
        """Send one JSON text and return the answer's text.

        Raises:
            NodeUnreachable: no answer; the node may or may not have acted.
            LedgerError: the node refuses to talk.
        """

    def close(self) -> None:
        """Let go of the connection."""


def shown_url(url: str) -> str:
    """Return a URL as it may be shown: without password, and without the query that may hold a key.

    >>> shown_url("https://me:secret@node.example:8545/rpc?key=1")
    'https://node.example:8545/rpc'
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()


def open_transport(url: str, timeout_s: float) -> Transport:
    """Return the way to a node, by its URL or the path of its socket.

    Args:
        url: ``http(s)://``, ``ws(s)://``, ``ipc:PATH``, or a path that ends in ``.ipc``.
        timeout_s: how long one answer may take.

    Raises:
        ConfigError: no such way.

    >>> open_transport("http://127.0.0.1:8545", 10).url
    'http://127.0.0.1:8545'
    """
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError as error:
        raise ConfigError(f"{url!r} is no URL of a node: {error}", url=url) from error
    if parts.scheme in {"http", "https"} and has_host:
        return _Http(url, timeout_s)
    if parts.scheme in {"ws", "wss"} and has_host:
        return _WebSocket(url, timeout_s)
    if parts.scheme == "ipc" or (not parts.scheme and url.endswith(".ipc")):
        return _SocketFile(url.removeprefix("ipc:").removeprefix("//"), timeout_s)
    raise ConfigError(
        f"no engine {url!r}; there is: eth-tester, or a node's URL (http://, ws://, or the path of its .ipc socket)",
        kind=url,
    )


class _Http:
    def __init__(self, url: str, timeout_s: float) -> None:
        parts = urlsplit(url)
        self.url = shown_url(url)
        self._target = parts._replace(scheme="", netloc="").geturl() or "/"
        self._headers = dict(_ACCEPTING)
        if parts.username is not None:
            secret = f"{parts.username}:{parts.password or ''}"
            self._headers |= urllib3.make_headers(basic_auth=secret)
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], path="", query="", fragment="").geturl()
        self._pool = urllib3.connection_from_url(bare, timeout=timeout_s, retries=False, maxsize=1)
        self._socket: object = None
        self._connections = 0

    @property
    def connection(self) -> int | None:
        # the pool connects again in silence, and then the socket is another
        kept = self._pool.pool.queue if self._pool.pool is not None else ()
        standing = next((item.sock for item in kept if item is not None and item.is_connected), None)
        if standing is not None and standing is not self._socket:
            self._socket = standing
            self._connections += 1
        return None if standing is None else self._connections

    def exchange(self, text: bytes) -> bytes:
        try:
            answer = self._pool.request("POST", self._target, body=text, headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            raise NodeUnreachable(f"{self.url}: {_reason(error)}", url=self.url) from error
        if answer.status in _PASSING:
            raise NodeUnreachable(f"{self.url}: HTTP {answer.status}", url=self.url)
        if answer.status != _OK:
            said = " ".join(answer.data.decode(errors="replace").split())[:_SHOWN_CHARS]
            raise LedgerError(f"{self.url}: HTTP {answer.status}: {said}", url=self.url, status=answer.status)
        return answer.data

    def close(self) -> None:
        self._pool.close()


class _WebSocket:
    def __init__(self, url: str, timeout_s: float) -> None:
        self._target = url
        self.url = shown_url(url)
        self._timeout_s = timeout_s
        self._connection: ClientConnection | None = None
        self._opened = ExitStack()
        self._connections = 0

    @property
    def connection(self) -> int | None:
        stands = self._connection is not None and self._connection.state is State.OPEN
        return self._connections if stands else None

    def exchange(self, text: bytes) -> bytes:
        try:
            if self._connection is None:
                opening = connect(
                    self._target, open_timeout=self._timeout_s, close_timeout=1, max_size=None, compression=None
                )
                self._connection = self._opened.enter_context(opening)
                self._connections += 1
            self._connection.send(text.decode())
            answer = self._connection.recv(timeout=self._timeout_s)
        except (OSError, WebSocketException, InvalidHandshake, TimeoutError) as error:
            self.close()  # a late answer to this would be taken for the answer to the next
            raise NodeUnreachable(f"{self.url}: {_reason(error)}", url=self.url) from error
        return answer.encode() if isinstance(answer, str) else answer

    def close(self) -> None:
        self._connection = None
        with suppress(OSError, WebSocketException):  # it is gone either way
            self._opened.close()


class _SocketFile:
    """A node's IPC socket: JSON texts follow each other without any mark between them."""

    def __init__(self, path: str, timeout_s: float) -> None:
        self.url = path
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._connections = 0

    @property
    def connection(self) -> int | None:
        # nothing comes unasked, so that what can be read is the end
        stands = self._socket is not None and not select.select([self._socket], [], [], 0)[0]
        return self._connections if stands else None

    def exchange(self, text: bytes) -> bytes:
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX)
                self._socket.settimeout(self._timeout_s)
                self._socket.connect(self.url)
                self._connections += 1
            self._socket.sendall(text + b"\n")
            return self._receive(self._socket)
        except OSError as error:
            self.close()
            raise NodeUnreachable(f"{self.url}: {_reason(error)}", url=self.url) from error

    def _receive(self, connection: socket.socket) -> bytes:
        received = bytearray()
        while chunk := connection.recv(_CHUNK_BYTES):
            received += chunk
            if chunk.rstrip().endswith((b"}", b"]")) and _is_whole(received):
                return bytes(received)
        raise ConnectionError("the node hung up")

    def close(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()


def _is_whole(text: bytes | bytearray) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _reason(error: Exception) -> str:
    cause = error
    while isinstance(cause.__cause__ or cause.__context__, OSError):
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment] # checked in the line above
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return " ".join(str(error).split())[:_SHOWN_CHARS] or type(error).__name__
