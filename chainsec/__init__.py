"""ChainSec: access control on a permissioned chain, decided by an agent that is held to account.

Importing this package is cheap: public names are resolved on first use (PEP 562). The one side effect
is that the fast Keccak backend is chosen before any Ethereum library is imported.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")

if TYPE_CHECKING:
    from chainsec.config import Config
    from chainsec.errors import ChainSecError
    from chainsec.ledger.engine import open_engine
    from chainsec.primitives import AccessRequest, Address, Decision, Hash32, Purpose, Scope, Verdict
    from chainsec.sandbox import Sandbox

__version__ = "0.1.0"

_HOMES = {
    "AccessRequest": "chainsec.primitives",
    "Address": "chainsec.primitives",
    "ChainSecError": "chainsec.errors",
    "Config": "chainsec.config",
    "Decision": "chainsec.primitives",
    "Hash32": "chainsec.primitives",
    "Purpose": "chainsec.primitives",
    "Sandbox": "chainsec.sandbox",
    "Scope": "chainsec.primitives",
    "Verdict": "chainsec.primitives",
    "open_engine": "chainsec.ledger.engine",
}

__all__ = [
    "AccessRequest",
    "Address",
    "ChainSecError",
    "Config",
    "Decision",
    "Hash32",
    "Purpose",
    "Sandbox",
    "Scope",
    "Verdict",
    "open_engine",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'chainsec' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
