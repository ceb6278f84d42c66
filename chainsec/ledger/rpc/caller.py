"""Asks a node: JSON-RPC calls and batches, again after a fault only where that is safe.

Layer: ledger. Not here: how texts travel (``transport``), what answers mean (``answers``).
"""

from __future__ import annotations

import json
import time
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from chainsec.digest import parse_json
from chainsec.errors import LedgerError, NodeUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainsec.ledger.rpc.transport import Transport

__all__ = ["METHOD_NOT_FOUND", "Caller", "RpcError"]

_Answer = TypeVar("_Answer")
METHOD_NOT_FOUND = -32601
_UNSUPPORTED = frozenset({METHOD_NOT_FOUND, -32004})
"""Codes by which a node says that it does not know a method (JSON-RPC 2.0; EIP-1474)."""
_PASSING = frozenset({-32603, -32005})
"""Codes of an internal error and of a limit that was run into (JSON-RPC 2.0; EIP-1474)."""
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 2.0
_BATCH_SIZE = 100
_SHOWN_CHARS = 300


class RpcError(LedgerError):
    """A node answered with an error: its ``code``, and ``data`` where it sent some.

    >>> RpcError("eth_call", {"code": 3, "message": "execution reverted", "data": "0x"}).code
    3
    """

    def __init__(self, method: str, error: Any) -> None:
        fields = error if isinstance(error, dict) else {"message": error}
        code, said = fields.get("code"), " ".join(str(fields.get("message")).split())[:_SHOWN_CHARS]
        super().__init__(f"{method}: {said}", method=method, code=code, said=said, data=fields.get("data"))

    @property
    def is_passing(self) -> bool:
        """Whether the node, or what stands before it, failed by itself: what it was asked for may be done or not."""
        return self.code in _PASSING

    @property
    def is_unsupported(self) -> bool:
        """Whether the node does not know the method."""
        return self.code in _UNSUPPORTED or "not supported" in self.said.lower()


class Caller:
    """Puts questions to one node.

    Args:
        transport: the way to it.
        patience_s: how long a question is repeated while the node gives no answer.
        clock: seconds that only go up.
        sleep: waits for so many seconds.

    ``on_return`` is called before a question is repeated: the node may have been started anew.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.transport = transport
        self.patience_s = patience_s
        self.clock = clock
        self.sleep = sleep
        self.on_return: Callable[[], None] | None = None
        self._numbers = count(1)
        self._takes_batches = True

    @property
    def url(self) -> str:
        """Where the node is."""
        return self.transport.url

    @property
    def connection(self) -> int | None:
        """Number of the connection that stands; while it stays the same the node has been there all the time."""
        return self.transport.connection

    def ask(self, method: str, *params: Any) -> Any:
        """Return the result of a call that may be repeated.

        Raises:
            RpcError: the node's error.
            NodeUnreachable: no answer for ``patience_s``.
        """
        return self._patiently(lambda: self.tell(method, *params))

    def tell(self, method: str, *params: Any) -> Any:
        """Return the result of a call that is made once.

        Raises:
            RpcError: the node's error.
            NodeUnreachable: no answer; whether the node acted is unknown.
        """
        number = next(self._numbers)
        answer = self._exchange({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        if not isinstance(answer, dict) or answer.get("id") not in (number, None):
            raise self._nonsense(method, answer)
        return self._result(method, answer)

    def ask_many(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return the results of several calls that may be repeated, in their order; an ``RpcError`` stands for itself.

        They go out in batches of 100, or one by one to a node that takes no batches.

        Raises:
            NodeUnreachable: no answer for ``patience_s``.
        """
        results: list[Any] = []
        for start in range(0, len(calls), _BATCH_SIZE):
            part = calls[start : start + _BATCH_SIZE]
            found = self._patiently(lambda part=part: self._batch(part)) if self._takes_batches else None  # type: ignore[misc] # bound at once
            results += [self._ask_one(*call) for call in part] if found is None else found
        return results

    def tell_many(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return the results of a few calls that are made once, in their order; in one batch where the node takes it.

        Raises:
            RpcError: the node's first error.
            NodeUnreachable: no answer.
        """
        found = self._batch(calls) if self._takes_batches else None
        results = [self.tell(method, *params) for method, params in calls] if found is None else found
        for result in results:
            if isinstance(result, RpcError):
                raise result
        return results

    def close(self) -> None:
        """Let go of the connection."""
        self.transport.close()

    def _ask_one(self, method: str, params: Sequence[Any]) -> Any:
        try:
            return self.ask(method, *params)
        except RpcError as error:
            return error

    def _batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any] | None:
        numbers = [next(self._numbers) for _ in calls]
        answers = self._exchange(
            [
                {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                for number, (method, params) in zip(numbers, calls, strict=True)
            ]
        )
        if not isinstance(answers, list):
            error = RpcError("a batch", answers.get("error") if isinstance(answers, dict) else None)
            if error.is_passing:
                raise NodeUnreachable(f"{self.url}: {error}", url=self.url)
            self._takes_batches = False
            return None
        by_number = {answer["id"]: answer for answer in answers if isinstance(answer, dict) and _is_number(answer)}
        results = []
        for number, (method, _) in zip(numbers, calls, strict=True):
            if number not in by_number:
                raise self._nonsense(method, answers)
            try:
                results.append(self._result(method, by_number[number]))
            except RpcError as error:
                results.append(error)
        return results

    def _exchange(self, question: Any) -> Any:
        text = json.dumps(question, separators=(",", ":")).encode()
        answer = self.transport.exchange(text)
        try:
            return parse_json(answer)
        except ValueError as error:
            self.transport.close()
            raise LedgerError(f"{self.url}: answers with something that is no JSON", url=self.url) from error

    def _result(self, method: str, answer: dict[str, Any]) -> Any:
        if answer.get("error") is not None:
            raise RpcError(method, answer["error"])
        if "result" not in answer:
            raise self._nonsense(method, answer)
        return answer["result"]

    def _nonsense(self, method: str, answer: Any) -> LedgerError:
        self.transport.close()  # an answer to something else may still be under way
        shown = ascii(str(answer))[1:-1][:_SHOWN_CHARS]
        return LedgerError(f"{self.url}: {method}: no answer to what was asked: {shown}", url=self.url)

    def _patiently(self, attempt: Callable[[], _Answer]) -> _Answer:
        begun, pause_s, is_again = self.clock(), _FIRST_PAUSE_S, False
        while True:
            try:
                if is_again and self.on_return is not None:
                    self.on_return()
                return attempt()
            except NodeUnreachable as error:
                if self.clock() - begun + pause_s > self.patience_s:
                    raise NodeUnreachable(
                        f"{error}; no answer for {self.patience_s:g} s", url=self.url, patience_s=self.patience_s
                    ) from error
            self.sleep(pause_s)
            is_again = True
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _is_number(answer: dict[str, Any]) -> bool:
    return type(answer.get("id")) is int
