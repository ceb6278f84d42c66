"""What operators start a real QBFT network of Besu nodes from, as file contents: genesis, keys, allowlists.

Every genesis is read back and decoded with this package's own consensus code before it is handed out.
Layer: network. Not here: writing files (``besu_directory``), what operators read and start (``besu_operation``).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from coincurve import PrivateKey

from chainsec.digest import parse_json
from chainsec.errors import ConfigError
from chainsec.ledger import evm
from chainsec.network.execution import Executor, genesis_block
from chainsec.network.extradata import ExtraData
from chainsec.network.header import MIX_HASH, Header
from chainsec.network.rlpitems import decode_strictly
from chainsec.primitives import ZERO_ADDRESS, Address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.ledger.account import Account

__all__ = [
    "BesuNetwork",
    "BesuNode",
    "allowlist_text",
    "check_validators",
    "genesis_text",
    "read_genesis_header",
    "static_nodes_text",
]

P2P_PORT = 30_303
MOST_VALIDATORS = 200
EPOCH_BLOCKS = 30_000
_FIRST_HOST = 11
_LEAST_GAS = 5_000
_FORKS = {"berlinBlock": 0, "londonBlock": 0, "shanghaiTime": 0, "cancunTime": 0}
"""The forks that ``header.Header`` has the fields of, all from the first block on; Berlin brings all before it."""
_PREFIX = re.compile(r"(?:(?:0|[1-9]\d?|1\d\d|2[0-4]\d|25[0-5])\.){3}", re.ASCII)
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}", re.ASCII)
_RELEASE = re.compile(r"(\d{1,4})\.(\d{1,4})", re.ASCII)
_FIRST_RELEASE = (26, 4)
"""Earlier ones left withdrawalsRoot out under QBFT, and with it every field behind it (besu-eth/besu #9624)."""


@dataclass(frozen=True)
class BesuNode:
    """A validator: its number from 1, its key, its IPv4 address."""

    number: int
    account: Account
    host: str

    @property
    def name(self) -> str:
        """What its directory and its service are called."""
        return f"node-{self.number}"

    @cached_property
    def enode(self) -> str:
        """Where peers find it: its public key, address and port."""
        public_key = PrivateKey(self.account.private_key).public_key.format(compressed=False)[1:]
        return f"enode://{public_key.hex()}@{self.host}:{P2P_PORT}"


@dataclass(frozen=True)
class BesuNetwork:
    """Everything that the files of a network follow from.

    Args:
        validators: keys of the first validators, 1 to 200, all different.
        genesis_time_s: Unix time of block 0, not in the future when nodes start.
        chain_id: EIP-155 identifier.
        block_period_s: least time between two blocks, whole seconds.
        request_timeout_s: how long round 0 may take, whole seconds; each further round has twice as long.
        gas_limit: of every block.
        accounts: who may send transactions; everybody may where there are none.
        host_prefix: first three numbers of the nodes' IPv4 addresses, with a dot behind each.
        besu_version: tag of the image ``hyperledger/besu``, 26.4 or later.

    Raises:
        ConfigError: names the option and the value that does not fit.
    """

    validators: tuple[Account, ...]
    genesis_time_s: int
    chain_id: int = 1337
    block_period_s: int = 2
    request_timeout_s: int = 4
    gas_limit: int = evm.DEFAULT_BLOCK_GAS_LIMIT
    accounts: tuple[Address, ...] = ()
    host_prefix: str = "172.28.0."
    besu_version: str = "26.9.0"

    def __post_init__(self) -> None:
        check_validators(len(self.validators))
        _check_range("--chain-id", self.chain_id, 1, 2**62)
        _check_range("--block-period", self.block_period_s, 1, 2**31 - 1)
        _check_range("--request-timeout", self.request_timeout_s, 1, 2**31 - 1)
        _check_range("--gas-limit", self.gas_limit, _LEAST_GAS, 2**63 - 1)
        _check_range("genesis time", self.genesis_time_s, 1, 2**40 - 1)
        if not _PREFIX.fullmatch(self.host_prefix):
            raise ConfigError(f"--host-prefix {self.host_prefix}: needs three numbers up to 255, such as 172.28.0.")
        subnet = IPv4Network(f"{self.host_prefix}0/24")
        if subnet.is_loopback or subnet.is_multicast or subnet.is_reserved or self.host_prefix.startswith("0."):
            raise ConfigError(f"--host-prefix {self.host_prefix}: nodes cannot have addresses of {subnet}")
        _check_version(self.besu_version)
        for option, addresses in (
            ("--validators", [account.address for account in self.validators]),
            ("--account", self.accounts),
        ):
            for address in addresses:
                if addresses.count(address) > 1:
                    raise ConfigError(f"{option} {address}: is there twice")

    @cached_property
    def nodes(self) -> tuple[BesuNode, ...]:
        """The validators' nodes, in the order of their keys."""
        return tuple(
            BesuNode(number, account, f"{self.host_prefix}{_FIRST_HOST + number - 1}")
            for number, account in enumerate(self.validators, 1)
        )

    @cached_property
    def genesis_header(self) -> Header:
        """The first block's header, as every node has to come to it by the genesis file."""
        return _first_header(self._genesis, [account.address for account in self.validators])

    @property
    def _genesis(self) -> evm.Genesis:
        return evm.Genesis(self.chain_id, self.genesis_time_s, self.gas_limit)


def check_validators(count: int) -> None:
    """Refuse a number of validators that no network is exported with. Raises: ConfigError."""
    _check_range("--validators", count, 1, MOST_VALIDATORS)


def _check_range(option: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ConfigError(f"{option} {value}: is not between {least} and {most}")


def _check_version(tag: str) -> None:
    if not _VERSION.fullmatch(tag):
        raise ConfigError(f"--besu-version {tag}: is no tag of an image, such as 26.9.0")
    numbers = _RELEASE.match(tag)
    if numbers and (int(numbers[1]), int(numbers[2])) < _FIRST_RELEASE:
        raise ConfigError(f"--besu-version {tag}: releases before 26.4 write other headers under these rules")


def _first_header(genesis: evm.Genesis, validators: Sequence[Address]) -> Header:
    return genesis_block(genesis, validators, Executor(genesis.chain_id).put_genesis(genesis)).header


def genesis_text(network: BesuNetwork) -> bytes:
    """Return genesis.json, after it was read back and found to give ``network.genesis_header``.

    The first block's base fee is written out: where it is missing, Besu takes a gwei even with ``zeroBaseFee``.

    Raises:
        ValueError: what was written reads as something else.

    Source: Besu, JsonGenesisConfigOptions, JsonBftConfigOptions and GenesisState.
    """
    header = network.genesis_header
    record = {
        "config": {
            "chainId": network.chain_id,
            **_FORKS,
            "zeroBaseFee": True,
            "qbft": {
                "epochlength": EPOCH_BLOCKS,
                "blockperiodseconds": network.block_period_s,
                "requesttimeoutseconds": network.request_timeout_s,
            },
        },
        "nonce": "0x0",
        "timestamp": hex(network.genesis_time_s),
        "gasLimit": hex(network.gas_limit),
        "baseFeePerGas": "0x0",
        "difficulty": "0x1",
        "mixHash": "0x" + MIX_HASH.hex(),
        "coinbase": "0x" + ZERO_ADDRESS.hex(),
        "extraData": "0x" + header.extra_data.hex(),
        "alloc": {},
    }
    text = json.dumps(record, indent=2).encode() + b"\n"
    if read_genesis_header(text) != header:
        raise ValueError("the genesis file reads as another first block")
    return text


def read_genesis_header(text: bytes) -> Header:
    """Return the first block's header by a genesis file such as ``genesis_text`` writes, whoever wrote it.

    Raises:
        ValueError: a part of it is missing, unreadable, or not as it is under QBFT with the forks up to Cancun.
    """
    record = parse_json(text)
    try:
        config, validators = record["config"], ExtraData.decode(_bytes_of(record["extraData"])).validators
        stated = {fork: config[fork] for fork in _FORKS}
        fixed = (_number_of(record["difficulty"]), _bytes_of(record["mixHash"]), _number_of(record["baseFeePerGas"]))
        genesis = evm.Genesis(
            chain_id=config["chainId"],
            timestamp=_number_of(record["timestamp"]),
            gas_limit=_number_of(record["gasLimit"]),
            balances=tuple(
                sorted((Address(account), _number_of(entry["balance"])) for account, entry in record["alloc"].items())
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"genesis file: {error} is missing or of another kind") from error
    if fixed != (1, MIX_HASH, 0) or stated != _FORKS or config.get("zeroBaseFee") is not True:
        raise ValueError("genesis file: difficulty, mixHash, base fee or forks are not as this network has them")
    header = _first_header(genesis, validators)
    if header.extra_data != _bytes_of(record["extraData"]):
        raise ValueError("genesis file: extraData holds more than validators, or they are not sorted")
    if Header.from_items(decode_strictly(header.encoded, "header")) != header:
        raise ValueError("genesis file: the header cannot be read back")
    return header


def _bytes_of(text: Any) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _number_of(text: Any) -> int:
    return int(text, 16)


def static_nodes_text(network: BesuNetwork) -> bytes:
    """Return static-nodes.json: whom every node keeps connections to."""
    return json.dumps([node.enode for node in network.nodes], indent=2).encode() + b"\n"


def allowlist_text(network: BesuNetwork) -> bytes:
    """Return permissions_config.toml: which nodes may connect and which accounts may send.

    A node reads it at its start and rewrites it when its operator changes the lists over RPC, so each has its own.
    """
    nodes = ",\n  ".join(f'"{node.enode}"' for node in network.nodes)
    accounts = "".join(f'\n  "0x{account.hex()}",' for account in network.accounts)
    return f"nodes-allowlist=[\n  {nodes}\n]\naccounts-allowlist=[{accounts.rstrip(',')}\n]\n".encode()
