"""What web3 is answered straight from the chain is what eth-tester answers it, in type and value."""

import pytest
from eth_tester.backends.pyevm.main import PyEVMBackend
from eth_tester.exceptions import BlockNotFound, ValidationError
from web3 import EthereumTesterProvider, Web3
from web3.exceptions import BlockNotFound as Web3BlockNotFound
from web3.exceptions import ContractLogicError, TransactionNotFound

from chainsec.ledger.ethbackend import LedgerBackend
from chainsec.ledger.ethtester import LedgerTester
from chainsec.ledger.evm import Genesis
from chainsec.ledger.local import DEVELOPMENT_ACCOUNTS, LocalEngine
from chainsec.ledger.store import Store

KEYS = [str(account.address) for account in DEVELOPMENT_ACCOUNTS]
LEGACY = {"gas": 200_000, "gasPrice": 2 * 10**9}
TYPED = {"gas": 200_000, "maxFeePerGas": 3 * 10**9, "maxPriorityFeePerGas": 10**9}


def same(one, other):
    """Whether two answers are equal, with equal types all the way down."""
    if type(one) is not type(other):
        return False
    if hasattr(one, "items"):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def sorted_items(answer):
    """The same answer with its names in order: a node's come in any."""
    if hasattr(answer, "items"):
        return type(answer)({name: sorted_items(answer[name]) for name in sorted(answer)})
    return type(answer)(map(sorted_items, answer)) if isinstance(answer, list) else answer


class Pair:
    """One chain, asked directly and through eth-tester."""

    def __init__(self, base_fee_wei=0):
        balances = tuple(sorted((account.address, 10**24) for account in DEVELOPMENT_ACCOUNTS))
        genesis = Genesis(base_fee_wei=base_fee_wei, balances=balances)
        self.engine = LocalEngine(Store(), genesis, accounts=DEVELOPMENT_ACCOUNTS)
        self.direct = self.engine.web3
        self.tester = LedgerTester(LedgerBackend(self.engine))
        self.through = Web3(EthereumTesterProvider(self.tester))

    def ask(self, name, *arguments):
        """Ask both for the same, and return what both say."""
        one, other = (getattr(web3.eth, name)(*arguments) for web3 in (self.direct, self.through))
        assert same(sorted_items(one), sorted_items(other)), (name, one, other)
        return one


@pytest.fixture(params=[0, 10**9])
def pair(request):
    return Pair(request.param)


@pytest.fixture
def contract(pair, probe_artifact):
    eth = pair.direct.eth
    factory = eth.contract(abi=probe_artifact.abi, bytecode=probe_artifact.bytecode)
    sent = factory.constructor(5, "hello").transact({"from": KEYS[0], "gas": 3_000_000})
    return eth.contract(pair.ask("get_transaction_receipt", sent).contractAddress, abi=probe_artifact.abi)


def sends(pair, contract):
    """Send transactions of several kinds, good and bad, mined alone and together."""
    who = {"from": KEYS[1]}
    functions = contract.functions
    yield functions.store(1, 42, "alone").transact(who | LEGACY)
    yield functions.store(2, 43, "typed").transact(who | TYPED)
    yield functions.refuse(1).transact(who | LEGACY)
    yield pair.direct.eth.send_transaction(who | LEGACY | {"to": KEYS[2], "value": 5})
    yield pair.direct.eth.send_transaction(who | LEGACY | {"data": "0x60fe5f5360015ff3"})
    yield pair.direct.eth.send_transaction(who | LEGACY | {"data": "0xfe"})
    listed = {"accessList": [{"address": contract.address, "storageKeys": ["0x" + "00" * 32]}]}
    yield functions.store(3, 44, "listed").transact(who | LEGACY | listed)
    pair.direct.provider.ethereum_tester.disable_auto_mine_transactions()
    yield from [functions.store(n, n, "together").transact(who | LEGACY) for n in range(5, 8)]
    pair.direct.provider.ethereum_tester.mine_block()


def test_every_answer_is_eth_testers_in_type_and_value(pair, contract):
    sent = list(sends(pair, contract))
    head = pair.ask("get_block_number")
    statuses = [pair.ask("get_transaction_receipt", key).status for key in sent]
    assert statuses == [1, 1, 0, 1, 1, 0, 1, 1, 1, 1]
    for key in sent:
        pair.ask("get_transaction", key)
    for number in [*range(head + 1), "latest", "earliest", "pending"]:
        pair.ask("get_block", number)
        pair.ask("get_block", number, True)  # noqa: FBT003 - web3's signature
    for address in (*KEYS[:3], contract.address):
        for at in (0, 1, head, "latest", "earliest", "pending", "finalized"):
            pair.ask("get_balance", address, at)
            pair.ask("get_transaction_count", address, at)
        pair.ask("get_code", address)
    call = {"to": contract.address, "data": contract.encode_abi("read", [1]), "from": KEYS[3]}
    assert int.from_bytes(pair.ask("call", call)) == 42
    assert pair.ask("call", call, 0) == b""
    pair.ask("estimate_gas", call)


def test_logs_are_found_alike_by_every_filter(pair, contract):
    list(sends(pair, contract))
    topic = pair.engine.logs(0, pair.engine.height)[0].topics[0]
    everywhere = {"fromBlock": 0, "toBlock": "latest"}
    counts = [
        len(pair.ask("get_logs", wanted))
        for wanted in (
            everywhere,
            {"fromBlock": 3, "toBlock": 8},
            {},
            everywhere | {"address": contract.address},
            everywhere | {"address": [contract.address, KEYS[0]], "topics": [topic]},
            everywhere | {"topics": [None, [(1).to_bytes(32), (2).to_bytes(32)]]},
            everywhere | {"topics": [[topic, bytes(32)], None]},
            everywhere | {"address": KEYS[0]},
        )
    ]
    assert counts == [6, 2, 3, 6, 6, 2, 6, 0]


def test_receipts_are_those_that_py_evm_works_out_of_its_tries(pair, contract):
    backend = pair.tester.backend
    list(sends(pair, contract))
    for number in range(1, pair.engine.height + 1):
        block = pair.engine.chain.get_canonical_block_by_number(number)
        assert backend.get_block_by_number(number, full_transaction=False) == PyEVMBackend.get_block_by_number(
            backend, number, full_transaction=False
        )
        before = 0
        for transaction in block.transactions:
            expected = PyEVMBackend.get_transaction_receipt(backend, transaction.hash)
            for log in expected["logs"]:
                log["log_index"] += before
            before += len(expected["logs"])
            assert backend.get_transaction_receipt(transaction.hash) == expected
            known = PyEVMBackend.get_transaction_by_hash(backend, transaction.hash)
            assert backend.get_transaction_by_hash(transaction.hash) == known
            assert backend.get_block_by_hash(block.hash) == PyEVMBackend.get_block_by_hash(backend, block.hash)


def test_what_is_not_there_is_missed_alike(pair):
    for web3 in (pair.direct, pair.through):
        with pytest.raises(TransactionNotFound):
            web3.eth.get_transaction_receipt(bytes(32))
        with pytest.raises(Web3BlockNotFound):
            web3.eth.get_block(99)
        with pytest.raises(Web3BlockNotFound):
            web3.eth.get_block(b"\1" * 32)
        with pytest.raises(BlockNotFound):
            web3.eth.get_balance(KEYS[0], 99)


def test_what_is_refused_is_refused_alike_and_leaves_nothing(pair, contract):
    who = {"from": KEYS[1]}
    bad = (
        {"from": KEYS[0], "nonce": 0, "to": KEYS[2]} | LEGACY,
        who | LEGACY | {"to": KEYS[2], "value": 10**30},
        who | LEGACY | {"gas": 2 * 10**9, "to": KEYS[2]},
        {"from": "0x" + "11" * 20, "to": KEYS[2]} | LEGACY,
    )
    before = pair.engine.head()
    for transaction in bad:
        errors = []
        for web3 in (pair.direct, pair.through):
            with pytest.raises((ValidationError, ValueError)) as caught:
                web3.eth.send_transaction(transaction)
            errors.append((type(caught.value), str(caught.value)))
        assert errors[0] == errors[1]
    with pytest.raises(ContractLogicError):
        contract.functions.complain().call()
    assert (pair.engine.head(), len(pair.engine.pool)) == (before, 0)


def test_the_same_sends_make_the_same_blocks_either_way(probe_artifact):
    heads = []
    for way in ("direct", "through"):
        pair = Pair()
        web3 = getattr(pair, way)
        factory = web3.eth.contract(abi=probe_artifact.abi, bytecode=probe_artifact.bytecode)
        created = factory.constructor(5, "hello").transact({"from": KEYS[0], "gas": 3_000_000})
        contract = web3.eth.contract(web3.eth.get_transaction_receipt(created).contractAddress, abi=probe_artifact.abi)
        for fees in ({"gasPrice": 7}, {"maxFeePerGas": 9, "maxPriorityFeePerGas": 1}):
            contract.functions.store(1, 2, "x").transact({"from": KEYS[0], "gas": 200_000} | fees)
        web3.eth.send_raw_transaction(
            DEVELOPMENT_ACCOUNTS[4]
            .sign(nonce=0, to=DEVELOPMENT_ACCOUNTS[5].address, value=3, gas=21_000, chain_id=1337)
            .raw
        )
        heads.append(pair.engine.head())
    assert heads[0] == heads[1]


def test_filters_see_blocks_logs_and_what_waits(pair, contract):
    eth = pair.direct.eth
    blocks, logs = eth.filter("latest"), eth.filter({"address": contract.address})
    waiting = eth.filter("pending")
    sent = contract.functions.store(7, 7, "").transact({"from": KEYS[0]} | LEGACY)
    assert blocks.get_new_entries() == [eth.get_block("latest").hash]
    assert [entry.transactionHash for entry in logs.get_new_entries()] == [sent]
    assert waiting.get_new_entries() == [sent]


def test_accounts_added_later_and_locked_ones_are_eth_testers(pair):
    tester, eth = pair.direct.provider.ethereum_tester, pair.direct.eth
    added = tester.add_account("0x" + "07" * 32)
    eth.send_transaction({"from": KEYS[0], "to": added, "value": 10**18, "gas": 21_000, "gasPrice": 10**9})
    eth.send_transaction({"from": added, "to": KEYS[0], "value": 5, "gas": 21_000, "gasPrice": 10**9})
    assert eth.get_transaction_count(added) == 1
