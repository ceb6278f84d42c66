"""Your own contract on the same chain, through plain web3.py: the chain is real, so is everything on it.

Run it: python scripts/own_contract.py   (needs npm's solc: npm ci)
"""

from pathlib import Path

from chainsec import open_engine
from chainsec.ledger.compiler import compile_source

SOURCE = """
// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
contract Counter {
    error CounterTooBig(uint256 wanted);
    uint256 public count;
    function add(uint256 amount) external {
        if (amount > 10) revert CounterTooBig(amount);
        count += amount;
    }
}
"""


def main() -> None:
    """Compile, deploy, count."""
    artifact = compile_source(SOURCE, "Counter", root=Path(__file__).parents[1])
    with open_engine("eth-tester") as engine:
        web3 = engine.web3
        counter = web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        receipt = web3.eth.wait_for_transaction_receipt(counter.constructor().transact({"from": web3.eth.accounts[0]}))
        counter = counter(receipt["contractAddress"])
        counter.functions.add(7).transact({"from": web3.eth.accounts[0]})
        print("count:", counter.functions.count().call(), "in block", web3.eth.block_number)


if __name__ == "__main__":
    main()
