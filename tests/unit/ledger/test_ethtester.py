import pytest
from eth_tester.utils.backend_testing import BaseTestBackendDirect
from web3.exceptions import ContractCustomError, ContractLogicError, ContractPanicError

from chainsec.ledger.ethbackend import LedgerBackend
from chainsec.ledger.ethtester import LedgerTester
from chainsec.ledger.evm import Genesis
from chainsec.ledger.local import DEVELOPMENT_ACCOUNTS, LocalEngine
from chainsec.ledger.store import Store
from chainsec.ledger.verify import verify_chain

ETH_TESTERS_CHAIN_ID = 131277322940537
GENESIS = Genesis(
    chain_id=ETH_TESTERS_CHAIN_ID,
    base_fee_wei=10**9,
    balances=tuple(sorted((account.address, 10**24) for account in DEVELOPMENT_ACCOUNTS)),
)


class TestConformance(BaseTestBackendDirect):
    """eth-tester's own suite for backends."""

    @pytest.fixture
    def eth_tester(self):
        return LedgerTester(LedgerBackend(LocalEngine(Store(), GENESIS, accounts=DEVELOPMENT_ACCOUNTS)))


@pytest.fixture
def web3(bench):
    return bench.engine.web3


@pytest.fixture
def contract(bench, probe_artifact):
    return bench.engine.web3.eth.contract(address=str(bench.probe.address), abi=probe_artifact.abi)


def test_web3_stands_on_the_same_chain(bench, web3, contract, alice):
    sent = contract.functions.store(1, 42, "from web3").transact({"from": str(alice.address)})
    receipt = web3.eth.get_transaction_receipt(sent)
    assert (
        (web3.eth.chain_id, web3.eth.block_number) == (bench.engine.chain_id, bench.engine.head().number) == (1337, 2)
    )
    assert receipt.gasUsed == bench.engine.receipt(bytes(sent)).gas_used
    assert bench.probe.call("read", 1) == contract.functions.read(1).call() == 42
    assert contract.events.Stored().process_receipt(receipt)[0].args.note == "from web3"


def test_what_waits_in_the_pool_is_mined_with_what_web3_sends(bench, web3, contract, alice, bob):
    waiting = bench.invoke("store", 1, 1, "", sender=bob)
    assert web3.eth.get_transaction(waiting).blockNumber is None
    contract.functions.store(2, 2, "").transact({"from": str(alice.address)})
    assert web3.eth.get_transaction(waiting).blockNumber == 2
    assert web3.eth.get_transaction_count(str(bob.address)) == 1


def test_web3_decodes_custom_errors_reasons_and_panics_as_from_a_node(contract):
    with pytest.raises(ContractCustomError) as custom:
        contract.functions.refuse(3).call()
    assert custom.value.data.startswith("0x")
    assert len(custom.value.data) == 2 + 2 * (4 + 64)
    with pytest.raises(ContractLogicError, match="not today"):
        contract.functions.complain().call()
    with pytest.raises(ContractPanicError):
        contract.functions.overflow(1).call()
    with pytest.raises(ContractLogicError):
        contract.functions.silent().call()


def test_web3_finds_logs_by_block_address_and_topic(bench, web3, contract, alice):
    for number in range(3):
        bench.invoke("store", number, number, "n")
        bench.engine.mine()
    logs = web3.eth.get_logs({"fromBlock": 0, "toBlock": "latest", "address": str(bench.probe.address)})
    assert [log.blockNumber for log in logs] == [2, 3, 4]
    assert [log["data"] for log in logs] == [log.data for log in bench.engine.logs(0, 4)]
    assert len(web3.eth.get_logs({"fromBlock": 3, "toBlock": 3})) == 1
    assert len(contract.events.Stored().get_logs(from_block=0, argument_filters={"key": 2})) == 1
    topics = [None, None, "0x" + bytes(12).hex() + alice.address.hex()]
    assert len(web3.eth.get_logs({"fromBlock": 0, "topics": topics})) == 3


def test_log_positions_count_through_the_block_in_web3_as_in_the_engine(bench, web3):
    sent = [bench.invoke("store", number, 0, "") for number in range(2)]
    bench.engine.mine()
    assert [web3.eth.get_transaction_receipt(key).logs[0].logIndex for key in sent] == [0, 1]
    assert [bench.engine.receipt(key).logs[0].log_index for key in sent] == [0, 1]


def test_many_sends_of_one_account_can_be_mined_together(bench, web3, contract, alice):
    tester = web3.provider.ethereum_tester
    tester.disable_auto_mine_transactions()
    sent = [contract.functions.store(n, n, "").transact({"from": str(alice.address), "gas": 200_000}) for n in range(5)]
    assert bench.engine.head().number == 1
    tester.mine_block()
    assert bench.engine.head().transaction_hashes == tuple(bytes(key) for key in sent)
    assert bench.probe.call("total") == 10


def test_withdrawals_are_credited_and_provable(tmp_path):
    path = tmp_path / "chain.sqlite"
    engine = LocalEngine(Store(path), GENESIS)
    receiver = "0x" + "11" * 20
    LedgerBackend(engine).apply_withdrawals([{"index": 0, "validator_index": 0, "address": receiver, "amount": 7}])
    assert engine.balance(bytes.fromhex("11" * 20)) == 7 * 10**9
    engine.close()
    assert verify_chain(path).blocks == 2
