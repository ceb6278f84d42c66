"""Every failure that ChainSec expects, in one tree.

Errors carry their facts as attributes. Bugs stay ``ValueError`` and ``TypeError``. Layer: bottom; imports nothing.
Not here: exit codes and what a reader is told (``app``).
"""

from __future__ import annotations

from typing import Any


class ChainSecError(Exception):
    """Base of every expected failure. Keyword facts become attributes.

    Args:
        message: what went wrong, for people.
        facts: what it went wrong with; also together in ``facts``.

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


class BadInput(ChainSecError):  # noqa: N818 - names the failure; so do those below
    """A file a user gave cannot be read as what it should be: names file, line and field."""


class BadAddress(BadInput, ValueError):  # noqa: N818 - as above
    """What should be an account's address is none: wrong length, no hexadecimal, or a wrong EIP-55 checksum."""


class UnknownPurpose(BadInput):
    """No purpose with that name or IRI is registered."""


class UnknownParty(BadInput):
    """A requester, owner or organisation that nobody has introduced."""


class UnknownAsset(BadInput):
    """An asset that is not registered."""


class UnknownRequest(BadInput):
    """A request that nobody has made."""


class RunInUse(ChainSecError):  # noqa: N818 - as above
    """Another process works in the run directory."""


class RunMismatch(ChainSecError):  # noqa: N818 - as above
    """A run directory holds a run with other settings, or records that this run would not write."""


class CompilerError(ChainSecError):
    """Solidity sources do not compile, or no compiler can be had."""


class LedgerError(ChainSecError):
    """The chain refused or lost something."""


class TransactionRefused(LedgerError):  # noqa: N818 - as above
    """The chain does not take a transaction: it is certain that nothing came of it now."""


class TooMuch(LedgerError):  # noqa: N818 - as above
    """A node was asked for more than fits into one answer."""


class NodeUnreachable(LedgerError):  # noqa: N818 - as above
    """A node gives no answer. Whether it did what it was asked for is unknown."""


class ChainTakenBack(LedgerError):  # noqa: N818 - as above
    """Blocks that had been reached are gone: a node came back with an older chain, or the chain was reorganised."""


class ContractReverted(LedgerError):  # noqa: N818 - as above
    """A contract call or transaction reverted. ``name`` is the custom error's name, arguments are attributes."""


class AccessDenied(ChainSecError):  # noqa: N818 - as above
    """``require`` found no right to use an asset. ``reason`` says what is missing."""


class AuditFailed(ChainSecError):  # noqa: N818 - as above
    """The evidence does not hold: names the first record that differs."""
