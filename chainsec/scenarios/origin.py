"""How a run's chain begins: keys and contracts follow from its settings, so that anybody can lay them again.

Layer: scenarios, below ``audit``. Not here: what a deployment consists of (``chainsec.deployment``), and what happens
on it later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chainsec.digest import keccak
from chainsec.errors import AuditFailed
from chainsec.ledger.engine import open_engine
from chainsec.sandbox import Sandbox

if TYPE_CHECKING:
    from chainsec.config import Config
    from chainsec.deployment import Keys
    from chainsec.ledger.engine import Engine
    from chainsec.primitives import Hash32


class Origin(NamedTuple):
    """The first blocks of a run, genesis included, and the keys that were given roles in them."""

    blocks: tuple[Hash32, ...]
    keys: Keys


def run_key_seed(seed: int) -> bytes:
    """Return what all keys of a run follow from.

    >>> len(run_key_seed(7))
    32
    """
    return keccak(b"chainsec run" + seed.to_bytes(8, "big"))


def lay_origin(config: Config) -> Origin:
    """Deploy, on a chain in memory, what a run with these settings deploys.

    >>> from chainsec.config import Config
    >>> len(lay_origin(Config()).blocks)
    9
    """
    chain = config.chain
    engine = open_engine(chain_id=chain.chain_id, accounts=(), genesis_time=chain.genesis_time_s)
    with Sandbox(config, engine=engine, key_seed=run_key_seed(config.seed), is_replay=True) as box:
        blocks = tuple(engine.block(number).hash for number in range(engine.head().number + 1))
        return Origin(blocks, box.keys)


def check_origin(engine: Engine, origin: Origin) -> None:
    """Hold the first blocks of a run, as far as it has come, against those that its settings give.

    Raises:
        AuditFailed: names the first block that differs: another genesis, contract, limit, role or key.
    """
    for number, expected in enumerate(origin.blocks[: engine.head().number + 1]):
        if engine.block(number).hash != expected:
            raise AuditFailed(f"block {number}: is not the deployment that the run's settings give", block=number)
