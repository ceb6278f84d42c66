"""Every failure that ChainSec expects, in one tree.

Errors carry their facts as attributes and print as one line. Bugs stay ``ValueError`` and
``TypeError``. Layer: bottom; imports nothing.
"""

from __future__ import annotations

from typing import Any


class ChainSecError(Exception):
    """Base of every expected failure. Keyword facts become attributes.

    >>> error = ChainSecError("cannot open", path="x.toml")
    >>> str(error), error.path
    ('cannot open', 'x.toml')
    """

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts = facts
        for name, value in facts.items():
            setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__} has no fact {name!r}")


class ConfigError(ChainSecError):
    """A setting, mapping or command-line value is unknown or out of range."""


class BadInput(ChainSecError):
    """A file a user gave cannot be read as what it should be: names file, line and field."""


class UnknownPurpose(BadInput):
    """No purpose with that name or IRI is registered."""


class UnknownParty(BadInput):
    """A requester, owner or organisation that nobody has introduced."""


class UnknownAsset(BadInput):
    """An asset that is not registered."""


class RunInUse(ChainSecError):
    """Another process works in the run directory."""


class RunMismatch(ChainSecError):
    """A run directory holds a run with other settings, or records that this run would not write."""


class CompilerError(ChainSecError):
    """Solidity sources do not compile, or no compiler can be had."""


class LedgerError(ChainSecError):
    """The chain refused or lost something."""


class ContractReverted(LedgerError):
    """A contract call or transaction reverted. ``name`` is the custom error's name, arguments are attributes."""


class AccessDenied(ChainSecError):
    """``require`` found no right to use an asset."""


class AuditFailed(ChainSecError):
    """The evidence does not hold: names the first record that differs."""
