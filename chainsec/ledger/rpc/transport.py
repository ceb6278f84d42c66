"""Carries one JSON text to a node and its answer back: over HTTP, over a WebSocket, over a socket file.

A connection is made when it is needed and dropped after any fault, so that a node may go and come back.
Layer: ledger. Not here: what the texts mean, and whether to try again (``caller``).
"""

from __future__ import annotations

import re
import select
import socket
import time
from base64 import b64encode
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

import urllib3
from websockets.exceptions import ConnectionClosed, InvalidHandshake, WebSocketException
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect

from chainsec.digest import is_too_deep, parse_json
from chainsec.errors import ConfigError, LedgerError, NodeUnreachable, TooMuch

if TYPE_CHECKING:
    from urllib.parse import SplitResult

__all__ = ["Transport", "open_transport", "shown_url"]

_OK, _TOO_LARGE, _SERVER_ERROR = 200, 413, 500
_PASSING = frozenset({408, 429, _SERVER_ERROR, 502, 503, 504})
"""HTTP states that a later attempt may overcome."""
_MOST_BYTES = 2**28
_TOO_BIG = 1009
"""Code with which a WebSocket is closed on a message that is too long (RFC 6455, section 7.4.1)."""
_ACCEPTING = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
_CHUNK_BYTES = 2**20
_LAST_BYTES = 16
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
            TooMuch: the answer is larger than 256 MiB, or the node says that it would be too large.
            LedgerError: the node refuses to talk.
        """

    def close(self) -> None:
        """Let go of the connection."""


def shown_url(url: str) -> str:
    """Return a URL as it may be shown: where the node is, without password, path and query, which may hold keys.

    >>> shown_url("https://me:secret@node.example:8545/v3/key?key=1")
    'https://node.example:8545'
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        return re.split(r"[?#]", url.rpartition("@")[2], maxsplit=1)[0]
    # by its text, as what is no URL may hold secrets all the same
    return scheme + mark + re.split(r"[/?#]", rest.rpartition("@")[2], maxsplit=1)[0]


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
    shown = shown_url(url)
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port or 1) > 0
        if parts.scheme in {"http", "https"} and has_host:
            return _Http(parts, shown, timeout_s)
        if parts.scheme in {"ws", "wss"} and has_host:
            return _WebSocket(parts, shown, timeout_s)
    except (ValueError, urllib3.exceptions.HTTPError):
        raise ConfigError(
            f"{shown!r} is no URL of a node: a port is a number, and / : @ in a password are %2F %3A %40", url=shown
        ) from None
    if parts.scheme == "ipc" or (not parts.scheme and url.endswith(".ipc")):
        return _SocketFile(url.removeprefix("ipc:").removeprefix("//"), timeout_s)
    raise ConfigError(
        f"no engine {shown!r}; there is: eth-tester, or a node's URL (http://, ws://, or the path of its .ipc socket)",
        kind=shown,
    )


def _authorisation(parts: SplitResult) -> dict[str, str]:
    """Return the header that a URL's user and password make. Source: RFC 7617."""
    if parts.username is None:
        return {}
    secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {b64encode(secret.encode()).decode()}"}


def _without_user(parts: SplitResult) -> SplitResult:
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")


class _Http:
    def __init__(self, parts: SplitResult, shown: str, timeout_s: float) -> None:
        self.url = shown
        self._target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        self._headers = _ACCEPTING | _authorisation(parts)
        self._timeout_s = timeout_s
        self._bare = _without_user(parts)._replace(path="", query="").geturl()
        self._pool = self._new_pool()
        self._socket: object = None
        self._connections = 0

    def _new_pool(self) -> urllib3.HTTPConnectionPool:
        return urllib3.connection_from_url(self._bare, timeout=self._timeout_s, retries=False, maxsize=1)

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
            status, data = self._post(text)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise NodeUnreachable(f"{self.url}: {_reason(error)}", url=self.url) from error
        if status == _OK or (status not in _PASSING - {_SERVER_ERROR} and _is_error(data)):
            return data
        if status in _PASSING:
            raise NodeUnreachable(f"{self.url}: HTTP {status}", url=self.url)
        said = " ".join(data.decode(errors="replace").split())[:_SHOWN_CHARS]
        kind = TooMuch if status == _TOO_LARGE else LedgerError
        raise kind(f"{self.url}: HTTP {status}: {said}", url=self.url, status=status)

    def _post(self, text: bytes) -> tuple[int, bytes]:
        """Return the state and the body of an answer that comes in time and is not too long."""
        due = time.monotonic() + self._timeout_s
        answer = self._pool.request("POST", self._target, body=text, headers=self._headers, preload_content=False)
        try:
            body = bytearray()
            while chunk := answer.read1(_CHUNK_BYTES):
                body += chunk
                _check_limits(self.url, len(body), due)
        except BaseException:
            answer.close()  # what is left of it would be taken for the next answer
            raise
        answer.release_conn()
        return answer.status, bytes(body)

    def close(self) -> None:
        self._pool.close()
        self._pool = self._new_pool()  # without a connection until it is needed


class _WebSocket:
    def __init__(self, parts: SplitResult, shown: str, timeout_s: float) -> None:
        self._target = _without_user(parts).geturl()
        self._headers = _authorisation(parts)
        self.url = shown
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
                    self._target,
                    additional_headers=self._headers,
                    open_timeout=self._timeout_s,
                    close_timeout=1,
                    max_size=_MOST_BYTES,
                    compression=None,
                )
                self._connection = self._opened.enter_context(opening)
                self._connections += 1
            self._connection.send(text.decode())
            answer = self._connection.recv(timeout=self._timeout_s)
        except (OSError, WebSocketException, InvalidHandshake, TimeoutError, ValueError) as error:
            self.close()  # a late answer to this would be taken for the answer to the next
            if isinstance(error, ConnectionClosed) and error.sent is not None and error.sent.code == _TOO_BIG:
                raise _too_long(self.url) from error
            raise NodeUnreachable(
                f"{self.url}: {_reason(error)}".replace(self._target, self.url), url=self.url
            ) from error
        except BaseException:
            self.close()
            raise
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
            self._socket.settimeout(self._timeout_s)
            self._socket.sendall(text + b"\n")
            return self._receive(self._socket)
        except OSError as error:
            self.close()
            raise NodeUnreachable(f"{self.url}: {_reason(error)}", url=self.url) from error
        except BaseException:  # also an interrupt: what is still to come would be taken for the next answer
            self.close()
            raise

    def _receive(self, connection: socket.socket) -> bytes:
        received, due = bytearray(), time.monotonic() + self._timeout_s
        while chunk := connection.recv(_CHUNK_BYTES):
            received += chunk
            is_more = bool(select.select([connection], [], [], 0)[0])
            if not is_more and _ends_well(received) and _is_whole(bytes(received)):
                return bytes(received)
            _check_limits(self.url, len(received), due)
            connection.settimeout(max(0.001, due - time.monotonic()))
        if _ends_well(received) and _is_whole(bytes(received)):
            return bytes(received)
        raise ConnectionError("the node hung up")

    def close(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()


def _ends_well(text: bytearray) -> bool:
    return text[-_LAST_BYTES:].rstrip().endswith((b"}", b"]"))


def _is_whole(text: bytes) -> bool:
    """Tell whether a text is JSON to its end, or so deep that it is no answer, whole or not."""
    if is_too_deep(text):
        return True
    try:
        parse_json(text)
    except ValueError:
        return False
    return True


def _is_error(text: bytes) -> bool:
    """Tell whether a text is a JSON-RPC error: with some states of HTTP nodes send one along."""
    try:
        found = parse_json(text)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("error") is not None


def _too_long(url: str) -> TooMuch:
    return TooMuch(f"{url}: answers with more than {_MOST_BYTES // 2**20} MiB", url=url)


def _check_limits(url: str, length: int, due: float) -> None:
    """Refuse an answer that is too long, or that is not whole when it is ``due``."""
    if length > _MOST_BYTES:
        raise _too_long(url)
    if time.monotonic() > due:
        raise TimeoutError("the answer takes too long")


def _reason(error: Exception) -> str:
    cause = error
    while isinstance(cause.__cause__ or cause.__context__, OSError):
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment] # checked in the line above
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return " ".join(str(error).split())[:_SHOWN_CHARS] or type(error).__name__
