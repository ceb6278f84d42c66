"""What any chain offers to the rest of the house: the ``Engine`` protocol, its records, and how one is opened.

Everything is in canonical bytes and integers. Layer: ledger. Not here: how an engine works (``local``), ABI
encoding (``contract``), keys (``account``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from chainsec.errors import ConfigError, ContractReverted
from chainsec.primitives import ZERO_ADDRESS, Address, Hash32

if TYPE_CHECKING:
    from pathlib import Path

    from web3 import Web3

    from chainsec.ledger.account import Account

__all__ = [
    "CALL_GAS",
    "IN_PROCESS",
    "Block",
    "BlockProduction",
    "CallReverted",
    "Engine",
    "Finality",
    "Log",
    "Receipt",
    "TopicFilter",
    "Transaction",
    "open_engine",
]

CALL_GAS = 50_000_000
DEFAULT_CHAIN_ID = 1337
IN_PROCESS = "eth-tester"
TopicFilter = Sequence["bytes | Sequence[bytes] | None"]
Finality = Literal["immediate", "finalized"] | int
BlockProduction = Literal["auto", "engine", "node"]


@dataclass(frozen=True, slots=True)
class Block:
    """A mined block. ``timestamp`` is in Unix seconds."""

    number: int
    hash: Hash32
    parent_hash: Hash32
    timestamp: int
    state_root: Hash32
    gas_used: int
    transaction_hashes: tuple[Hash32, ...]


@dataclass(frozen=True, slots=True)
class Log:
    """An event as a contract emitted it; ``log_index`` counts in its block."""

    address: Address
    topics: tuple[Hash32, ...]
    data: bytes
    block_number: int
    transaction_hash: Hash32
    transaction_index: int
    log_index: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a mined transaction did: ``status`` 1 or 0, its own gas, its place ``index`` in the block."""

    transaction_hash: Hash32
    block_number: int
    index: int
    status: int
    gas_used: int
    contract_address: Address | None
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction the engine knows; ``block_number`` and ``index`` are None while it waits in the pool."""

    hash: Hash32
    sender: Address
    nonce: int
    to: Address | None
    value: int
    gas: int
    data: bytes
    block_number: int | None
    index: int | None


class CallReverted(ContractReverted):
    """Execution failed. ``data`` is what the contract returned, ``name`` the kind of failure ("Revert", "OutOfGas").

    >>> CallReverted("Revert", bytes.fromhex("08c379a0")).data.hex()
    '08c379a0'
    """

    def __init__(self, name: str, data: bytes, **facts: Any) -> None:
        shown = f" with 0x{data.hex()}" if data else ""
        super().__init__(f"call failed: {name}{shown}", name=name, data=data, **facts)


class Engine(Protocol):
    """A chain that transactions can be sent to and that answers for the state at any of its blocks."""

    @property
    def name(self) -> str:
        """What executes: "eth-tester", or what the node at the other end calls itself."""

    @property
    def makes_blocks(self) -> bool:
        """Whether ``mine`` makes a block at once and of the time asked for; otherwise the network makes them."""

    @property
    def rewinds(self) -> int:
        """How often ``revert`` or ``load`` put the chain back: what was counted on it before is void."""

    @property
    def chain_id(self) -> int:
        """EIP-155 identifier."""

    @property
    def web3(self) -> Web3:
        """A plain web3.py ``Web3`` on the same chain."""

    @property
    def block_gas_limit(self) -> int:
        """Gas that one block can hold."""

    @property
    def gas_price_wei(self) -> int:
        """Wei for each gas that the next block asks for."""

    def head(self) -> Block:
        """Return the newest block."""

    def block(self, number: int) -> Block:
        """Return a block by number. Raises ``LedgerError`` where there is none."""

    def final_block(self) -> int:
        """Return the number of the newest block that can no longer be taken back."""

    def send(self, raw: bytes) -> Hash32:
        """Put a signed transaction into the pool and return its hash.

        Raises:
            TransactionRefused: bad signature, wrong chain id, nonce too low or taken, insufficient funds, gas over the
                limit.
            NodeUnreachable: no answer; whether it was taken is unknown.
        """

    def send_many(self, raws: Sequence[bytes]) -> list[Hash32]:
        """Send several signed transactions and return their hashes; on a node in as few round trips as it takes.

        Raises:
            LedgerError: as ``send``, for the first that is refused; the others may wait in the pool.
        """

    def mine(self, timestamp: int | None = None) -> Block:
        """Seal a block with the pool's transactions; an empty one is allowed.

        Where the network makes the blocks (``makes_blocks`` is False) this waits for its next one.

        Args:
            timestamp: Unix seconds, later than the parent's; one second later by default. The network's blocks have
                times of their own.

        Raises:
            LedgerError: the timestamp is not later, or the store failed, or no block came. Chain and pool are as they
                were.
            ChainTakenBack: a node has lost blocks that were there.
        """

    def receipt(self, transaction_hash: bytes) -> Receipt | None:
        """Return the receipt of a mined transaction, or None."""

    def receipts(self, transaction_hashes: Sequence[bytes]) -> list[Receipt | None]:
        """Return the receipts of several transactions, None for each that was not mined."""

    def transaction(self, transaction_hash: bytes) -> Transaction | None:
        """Return a mined or waiting transaction, or None."""

    def call(
        self,
        to: bytes | None,
        data: bytes,
        *,
        sender: bytes = ZERO_ADDRESS,
        at: int | None = None,
        value: int = 0,
        gas: int = CALL_GAS,
    ) -> bytes:
        """Execute a message against the state after block ``at`` (the head by default) and return its output.

        Raises:
            CallReverted: with the raw return data.
        """

    def estimate(
        self, to: bytes | None, data: bytes, *, sender: bytes = ZERO_ADDRESS, at: int | None = None, value: int = 0
    ) -> int:
        """Return a gas limit with which the transaction succeeds, at most 2 % over the smallest.

        Raises:
            CallReverted: it fails at the block's gas limit.
        """

    def logs(
        self,
        from_block: int,
        to_block: int,
        address: bytes | Sequence[bytes] | None = None,
        topics: TopicFilter = (),
    ) -> list[Log]:
        """Return matching logs in chain order; both blocks are included.

        Args:
            from_block: first block.
            to_block: last block.
            address: one, any of several, or None for all.
            topics: by place: a topic, several that match as well, or None for any.
        """

    def nonce(self, address: bytes, at: int | None = None) -> int:
        """Return how many transactions of ``address`` were mined up to block ``at``."""

    def next_nonce(self, address: bytes) -> int:
        """Return the nonce that the next transaction of ``address`` needs, the pool's counted."""

    def balance(self, address: bytes, at: int | None = None) -> int:
        """Return the wei of ``address`` after block ``at``."""

    def code(self, address: bytes, at: int | None = None) -> bytes:
        """Return the code at ``address`` after block ``at``."""

    def storage(self, address: bytes, slot: int, at: int | None = None) -> int:
        """Return a storage slot after block ``at``."""

    def failure(self, transaction_hash: bytes) -> CallReverted | None:
        """Return why a mined transaction failed, by replaying it where it stood; None where it succeeded.

        Raises:
            LedgerError: no such transaction was mined.
        """

    def snapshot(self) -> int:
        """Mark head and pool as they are and return the mark. Of more than 1,000 different points the oldest go."""

    def revert(self, snapshot: int) -> None:
        """Go back to a mark, which stays valid; later marks are forgotten.

        Raises:
            LedgerError: no such mark.
        """

    def dump(self) -> bytes:
        """Return everything the chain is, as bytes that ``load`` of an engine of the same ``name`` takes.

        Raises:
            LedgerError: a node that hands out no dumps.
        """

    def load(self, dump: bytes) -> None:
        """Put a dumped chain in the place of this one: pool empty, marks forgotten.

        Raises:
            LedgerError: no dump of such an engine, another chain id, or a damaged head. Nothing has changed.
        """

    def close(self) -> None:
        """Write everything out. The engine is of no use afterwards."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def open_engine(
    kind: str = IN_PROCESS,
    *,
    path: Path | None = None,
    chain_id: int | None = None,
    accounts: Sequence[Account] | None = None,
    genesis_time: int | None = None,
    block_gas_limit: int | None = None,
    finality: Finality = "immediate",
    block_production: BlockProduction = "auto",
    is_exclusive: bool = False,
    patience_s: float = 60,
) -> Engine:
    """Open a chain: a new one, the one that stands in ``path``, or the one of the node at a URL.

    Args:
        kind: "eth-tester", the chain inside this process, or the URL of a node: ``http(s)://``, ``ws(s)://``, or the
            path of its IPC socket (``.../geth.ipc`` or ``ipc:PATH``).
        path: SQLite file of an in-process chain; None keeps it in memory.
        chain_id: EIP-155 identifier; 1337 by default in process, of a node whatever it has.
        accounts: hold a million ether each in the first block, and ``engine.web3`` signs for them. By default the
            ten well-known development accounts of eth-tester in a new chain, and nobody new in a stored one. A node
            has accounts of its own.
        genesis_time: of the first block, Unix seconds; 2024-01-01 by default, elsewhere whatever the chain has.
        block_gas_limit: of every block; 1,000,000,000 by default, in a stored chain whatever it has.
        finality: when a block of a node is final: "immediate", as under QBFT; "finalized", by the node's tag of that
            name; or a number of blocks that have to stand on it.
        block_production: who makes a node's blocks: "engine", for development nodes (anvil, hardhat) that make them
            on command and whose automatic mining is switched off while the engine is open; "node"; or "auto", the
            engine where the node lets it.
        is_exclusive: nobody else makes blocks on a development node, also not through ``engine.web3``: while its
            connection stands, its head is known without asking.
        patience_s: how long a node may fail to answer, or to make its next block, before that is an error.

    Raises:
        ConfigError: an unknown kind, or a setting out of range, or one that a node does not take.
        LedgerError: the chain was made with other settings, is damaged at its head, or the node does not answer.

    >>> with open_engine("eth-tester", chain_id=7) as engine:
    ...     engine.mine().number, engine.chain_id
    (1, 7)
    """
    if kind != IN_PROCESS:
        if path is not None or accounts is not None:
            given = "path" if path is not None else "accounts"
            raise ConfigError(f"{given}: belongs to a chain inside this process, not to a node", field=given)
        from chainsec.ledger.rpc.attaching import attach  # noqa: PLC0415 - the transports take a while to import

        return attach(
            kind,
            chain_id=chain_id,
            genesis_time=genesis_time,
            block_gas_limit=block_gas_limit,
            finality=finality,
            block_production=block_production,
            is_exclusive=is_exclusive,
            patience_s=patience_s,
        )
    from chainsec.ledger.opening import open_local  # noqa: PLC0415 - py-evm takes a second to import

    return open_local(
        path,
        chain_id=DEFAULT_CHAIN_ID if chain_id is None else chain_id,
        accounts=accounts,
        genesis_time=genesis_time,
        block_gas_limit=block_gas_limit,
    )
