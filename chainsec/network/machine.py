"""How fast a validator's machine works, in virtual time.

Layer: network. Not here: how fast this process works.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Machine"]


@dataclass(frozen=True)
class Machine:
    """What work costs a validator.

    A block is executed when it is made, when it is checked and when it is kept. The defaults follow from measured
    latencies of Besu 21.10 on two virtual processors (Fan et al. 2022): 0.93 ms a transaction end to end in those three
    passes, 0.06 s a block. How the figure divides into a part for each transaction and one for its gas is our choice.

    Args:
        transaction_us: of each pass, for each transaction.
        gas_per_us: gas executed in a microsecond.
        block_us: of each pass, for the block.
        message_us: to take a message in, its signature checked.
        signature_us: for each further signature in a message.
    """

    transaction_us: int = 205
    gas_per_us: float = 400.0
    block_us: int = 15_000
    message_us: int = 300
    signature_us: int = 150

    def pass_us(self, gas: int, transactions: int) -> int:
        """Return how long one pass over a block takes, microseconds.

        >>> Machine().pass_us(42_000_000, 1_000)
        325000
        """
        return self.block_us + transactions * self.transaction_us + int(gas / self.gas_per_us)
