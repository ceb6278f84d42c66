"""``chainsec network export``: writes what a real network is started from.

Layer: app. Not here: what is written (``chainsec.network.besu`` and its siblings).
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chainsec.errors import BadAddress, BadInput, ConfigError

if TYPE_CHECKING:
    from chainsec.primitives import Address

__all__ = ["export_app", "export_besu"]

DirectoryArgument = Annotated[Path, typer.Argument(metavar="DIR", help="New, or empty. It will hold private keys.")]
AccountsOption = Annotated[
    list[str] | None,
    typer.Option("--account", metavar="0x...", help="May send transactions; repeat it. Without any, everybody may."),
]
KeysOption = Annotated[
    Path | None,
    typer.Option("--keys", metavar="DIR", help="The roles' keys, made where missing: these accounts may send, too."),
]

export_app = typer.Typer(help="Write what operators start a real network from.", no_args_is_help=True)


@export_app.callback()
def export() -> None:
    """Write what operators start a real network from."""


@export_app.command("besu")
def export_besu(
    directory: DirectoryArgument,
    *,
    validators: Annotated[int, typer.Option(help="How many validators the network begins with.")] = 4,
    block_period: Annotated[int, typer.Option(metavar="S", help="Seconds between two blocks.")] = 2,
    request_timeout: Annotated[
        int, typer.Option(metavar="S", help="Seconds for round 0; each further round has twice as long.")
    ] = 4,
    chain_id: Annotated[int, typer.Option(help="EIP-155 identifier; choose one that no other chain has.")] = 1337,
    gas_limit: Annotated[int, typer.Option(help="Gas in a block.")] = 1_000_000_000,
    account: AccountsOption = None,
    keys: KeysOption = None,
    host_prefix: Annotated[str, typer.Option(metavar="A.B.C.", help="The nodes' IPv4 addresses begin so.")] = (
        "172.28.0."
    ),
    besu_version: Annotated[str, typer.Option(metavar="TAG", help="Of the image hyperledger/besu.")] = "26.9.0",
) -> None:
    """Write genesis, keys, static nodes, allowlists, a compose file and a README for a QBFT network of Besu nodes.

    Keys are new, from the operating system's randomness. Genesis and extraData are decoded with the consensus code
    before anything is written. Nothing is ever overwritten.

    Example: chainsec network export besu our-network --validators 4 --chain-id 20260
    """
    from chainsec.app.wording import visible_text  # noqa: PLC0415 - --help stays fast
    from chainsec.attached.keyring import ROLES, open_keys  # noqa: PLC0415 - --help stays fast
    from chainsec.ledger.account import Account  # noqa: PLC0415 - --help stays fast
    from chainsec.network.besu import BesuNetwork, check_validators  # noqa: PLC0415 - --help stays fast
    from chainsec.network.besu_directory import require_free, write_export  # noqa: PLC0415 - --help stays fast
    from chainsec.network.besu_operation import export_files  # noqa: PLC0415 - --help stays fast
    from chainsec.network.committee import most_faulty  # noqa: PLC0415 - --help stays fast

    require_free(directory)
    check_validators(validators)
    if keys is not None and keys.absolute().is_relative_to(directory.absolute()):
        raise BadInput(f"--keys {keys}: lies in {directory}, which this command has to make", path=str(keys))
    network = BesuNetwork(
        validators=tuple(Account.generate() for _ in range(validators)),
        genesis_time_s=int(time.time()),
        chain_id=chain_id,
        block_period_s=block_period,
        request_timeout_s=request_timeout,
        gas_limit=gas_limit,
        accounts=tuple(_address(text) for text in account or ()),
        host_prefix=host_prefix,
        besu_version=besu_version,
    )
    if keys is not None:
        roles = open_keys(keys)
        addresses = [getattr(roles, role).address for role in ROLES]
        network = replace(network, accounts=(*addresses, *(one for one in network.accounts if one not in addresses)))
    write_export(directory, export_files(network, user=f"{os.getuid()}:{os.getgid()}"))
    shown = visible_text(str(directory), 1_000)
    typer.echo(f"{shown}: {validators} validators, chain {chain_id}, first block {network.genesis_header.hash}")
    if most_faulty(validators) == 0:
        typer.echo("So few validators bear no fault: no block while one of them is away. Four bear one.", err=True)
    typer.echo(f"Keys are in {shown}/nodes/*/key. What to do with it: {shown}/README.md")


def _address(text: str) -> Address:
    from chainsec.primitives import Address  # noqa: PLC0415 - --help stays fast

    try:
        return Address(text)
    except BadAddress as error:
        raise ConfigError(f"--account {text}: {error}", field="account") from error
