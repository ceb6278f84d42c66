"""Role keys in files: made once from the operating system's randomness, readable by their owner alone.

Layer: attached. Not here: what a role may do (``deployment``), where addresses are written down (``record``).
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from dataclasses import fields
from typing import TYPE_CHECKING

from chainsec.deployment import Keys
from chainsec.errors import BadInput
from chainsec.ledger.account import Account

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ROLES", "key_path", "open_keys", "read_key"]

ROLES = tuple(field.name for field in fields(Keys))
"""Names of the roles; ``admin`` deploys."""

_KEY = re.compile(rb"(?:0x)?([0-9a-fA-F]{64})\n?")
_MOST_BYTES = 1_000
_OWNER_ONLY = 0o600


def key_path(folder: Path, role: str) -> Path:
    """Return where the key of a role is kept."""
    return folder / f"{role}.key"


def read_key(path: Path) -> Account:
    """Return the key in a file.

    Raises:
        BadInput: there is none, it is no key, or others than its owner can read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such key", path=str(path)) from None
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise BadInput(f"{path}: is no regular file", path=str(path))
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise BadInput(f"{path}: others can reach this key; chmod 600 it first", path=str(path))
        found = _KEY.fullmatch(file.read(_MOST_BYTES))
    try:
        if found:
            return Account(bytes.fromhex(found[1].decode()))
    except ValueError:  # 64 digits, but no number that is a key
        pass
    raise BadInput(f"{path}: holds no private key of 64 hexadecimal digits", path=str(path))


def open_keys(folder: Path) -> Keys:
    """Return the keys of all roles; those that are missing are made.

    Raises:
        BadInput: as ``read_key``, or two roles have the same key, or others than its owner can write into the folder.
        OSError: a key cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise BadInput(f"{folder}: others can put keys into this folder; chmod 700 it first", path=str(folder))
    for role in ROLES:
        if not key_path(folder, role).exists():
            _make_key(key_path(folder, role))
    found = {role: read_key(key_path(folder, role)) for role in ROLES}
    for role, account in found.items():
        other = next(name for name, one in found.items() if one == account)
        if other != role:
            raise BadInput(f"{key_path(folder, role)}: is the key of {other} too", path=str(folder))
    return Keys(**found)


def _make_key(path: Path) -> None:
    """Write a new key whole or not at all, and never over another."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(f"0x{Account.generate().private_key.hex()}\n".encode())
            file.flush()
            os.fsync(descriptor)
        try:
            path.hardlink_to(draft)
        except FileExistsError:  # made by somebody else meanwhile: that one is the key
            return
    finally:
        draft.unlink()
