"""A chain of plain py-evm that imports what an engine has mined, and holds what it finds against the engine's."""

import pytest
from eth.chains.base import MiningChain
from eth.consensus import ConsensusApplier, NoProofConsensus
from eth.db.atomic import AtomicDB
from eth.vm.forks.cancun import CancunVM


class PlainChain(MiningChain):
    """py-evm as it comes."""

    chain_id = 1337
    vm_configuration = ConsensusApplier(NoProofConsensus).amend_vm_configuration(((0, CancunVM),))


class Follower:
    """Plain py-evm after an engine; ``chain`` is its chain."""

    def __init__(self, engine):
        self.engine = engine
        genesis = engine.header(0)
        fields = ("difficulty", "gas_limit", "timestamp", "base_fee_per_gas", "nonce", "extra_data")
        state = {
            bytes(who): {"balance": wei, "nonce": 0, "code": b"", "storage": {}} for who, wei in engine.genesis.balances
        }
        self.chain = PlainChain.from_genesis(AtomicDB(), {name: getattr(genesis, name) for name in fields}, state)

    def compare(self):
        """Import what the engine has mined since, and compare hashes, status, gas and logs."""
        engine, plain = self.engine, self.chain
        for number in range(plain.get_canonical_head().block_number + 1, engine.head().number + 1):
            block = engine.chain.get_canonical_block_by_number(number)
            builder = plain.get_vm().get_transaction_builder()
            stock = plain.get_vm(block.header).get_block_class()(
                header=block.header,
                transactions=[builder.decode(item.encode()) for item in block.transactions],
                uncles=[],
                withdrawals=[],
            )
            imported = plain.import_block(stock, perform_validation=True).imported_block
            assert imported.hash == engine.block(number).hash
            gas = position = 0
            mine = engine.receipts(engine.block(number).transaction_hashes)
            for theirs, ours in zip(imported.get_receipts(plain.chaindb), mine, strict=True):
                assert (theirs.state_root, theirs.gas_used) == (b"\1" * ours.status, gas + ours.gas_used)
                logs = [(log.address, [t.to_bytes(32, "big") for t in log.topics], log.data) for log in theirs.logs]
                assert logs == [(log.address, [*log.topics], log.data) for log in ours.logs]
                assert [log.log_index for log in ours.logs] == [*range(position, position + len(logs))]
                gas, position = theirs.gas_used, position + len(logs)


@pytest.fixture(scope="session")
def follower():
    """Give the class of what follows an engine."""
    return Follower
