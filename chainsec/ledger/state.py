"""Gives the chain its state: py-evm's Cancun state, with the loop that ``CHAINSEC_VM`` asks for.

Layer: ledger. Not here: the loop itself (``interpreter``).
"""

from __future__ import annotations

from typing import Any

from eth.vm.forks.cancun.state import CancunState

from chainsec.config import interpreter_choice
from chainsec.ledger.interpreter import FastComputation

__all__ = ["LedgerState", "state_class"]


class LedgerState(CancunState):  # type: ignore[misc] # py-evm is untyped
    """py-evm's Cancun state, whose messages run in the fast loop."""

    computation_class = FastComputation


def state_class() -> Any:
    """Return the class of state that this process was asked to use."""
    return LedgerState if interpreter_choice() == "fast" else CancunState
