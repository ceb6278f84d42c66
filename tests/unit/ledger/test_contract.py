import dataclasses

import pytest
from eth_abi import encode as abi_encode
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.digest import keccak
from chainsec.errors import ContractReverted, LedgerError
from chainsec.ledger.codec import Parameters
from chainsec.ledger.contract import Contract, deployment_data, read_events, revert_reason
from chainsec.primitives import Address, Hash32


def test_constructor_arguments_reach_the_contract(bench):
    assert bench.probe.call("total") == 5


def test_values_come_back_single_or_as_a_tuple(bench, bob):
    bench.invoke("store", 3, 44, "n")
    bench.engine.mine()
    assert bench.probe.call("read", 3) == 44
    assert bench.probe.call("both", 3, sender=bob.address) == (44, bob.address)


def test_a_call_sees_the_state_at_the_block_it_names(bench):
    bench.invoke("store", 1, 10, "")
    bench.engine.mine()
    bench.invoke("store", 1, 20, "")
    bench.engine.mine()
    assert [bench.probe.call("read", 1, at=number) for number in (1, 2, 3, None)] == [0, 10, 20, 20]


def test_structs_go_in_as_tuples_mappings_or_records_and_come_out_as_tuples(bench, alice):
    class Point:
        def as_tuple(self):
            return (3, alice.address)

    whole = ((1, alice.address), [{"x": 2, "who": str(alice.address)}, Point()])
    assert bench.probe.call("mirror", *whole) == ((1, alice.address), ((2, alice.address), (3, alice.address)))


def test_overloads_are_chosen_by_count_or_by_full_signature(bench, alice):
    assert bench.probe.call("pick", 1, 2) == "two"
    assert bench.probe.call("pick(uint256)", 1) == "uint256"
    assert bench.probe.call("pick(address)", alice.address) == "address"
    with pytest.raises(ValueError, match=r"overloaded, name one of: pick\(address\), pick\(uint256\)"):
        bench.probe.encode("pick", 1)


def test_fixed_bytes_are_taken_as_bytes_or_text_and_come_back_as_a_hash(bench):
    identifier = Hash32(keccak(b"id"))
    assert bench.probe.call("ident", str(identifier)) == bench.probe.call("ident", identifier) == identifier
    assert isinstance(bench.probe.call("ident", identifier), Hash32)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("store", 1, "two", "x"), ["store", "value", "uint256"]),
        (("store", -1, 2, "x"), ["store", "key"]),
        (("store", 2**256, 2, "x"), ["store", "key"]),
        (("store", 1, 2), ["store takes 3 arguments, not 2"]),
        (("pick(address)", "0x12"), ["pick", "argument a", "address"]),
        (("ident", b"short-but-not-32" * 3), ["ident", "argument b"]),
        (("mirror", (1,), []), ["mirror", "argument p"]),
        (("mirror", (1, bytes(20)), 7), ["mirror", "argument more"]),
        (("store", True, 2, "x"), ["store", "key"]),
        (("nothing",), ["no function 'nothing'"]),
    ],
)
def test_a_wrong_argument_is_named_with_its_function(bench, args, words):
    with pytest.raises(ValueError, match=r".") as caught:
        bench.probe.encode(*args)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_custom_error_has_its_name_and_its_arguments_as_attributes(bench, bob):
    with pytest.raises(bench.probe.error("Refused")) as caught:
        bench.probe.call("refuse", 9, sender=bob.address)
    assert (caught.value.name, caught.value.who, caught.value.limit) == ("Refused", bob.address, 9)
    assert isinstance(caught.value, ContractReverted)
    assert "limit=9" in str(caught.value)


def test_arguments_that_would_hide_facts_are_renamed(bench):
    with pytest.raises(ContractReverted) as caught:
        bench.probe.call("shadow")
    assert (caught.value.name, caught.value.name_, caught.value.data_) == ("Shadow", 7, keccak(b"x"))


def test_a_plain_reason_a_panic_and_a_bare_revert_are_told_apart(bench):
    caught = []
    for call in (("complain",), ("overflow", 1), ("silent",)):
        with pytest.raises(ContractReverted) as failure:
            bench.probe.call(*call)
        caught.append(failure.value)
    reason, panic, bare = caught
    assert (reason.name, reason.reason) == ("Error", "not today")
    assert (panic.name, panic.code, panic.meaning) == ("Panic", 0x11, "arithmetic over- or underflow")
    assert (bare.name, bare.data) == ("Revert", b"")


def test_errors_of_other_contracts_are_decoded_where_they_are_known(bench, probe_artifact):
    errors = [entry for entry in probe_artifact.abi if entry["type"] == "error"]
    blind_abi = [entry for entry in probe_artifact.abi if entry["type"] != "error"]
    for extra, name in ((errors, "Refused"), ({b"key": errors[0]}, "Refused"), ((), "Revert")):
        contract = Contract(bench.engine, bench.probe.address, blind_abi, errors=extra)
        with pytest.raises(ContractReverted) as caught:
            contract.call("refuse", 1)
        assert caught.value.name == name


def test_a_call_where_no_contract_stands_is_an_error_and_not_a_zero(bench, bob, probe_artifact):
    with pytest.raises(LedgerError, match="no contract there"):
        Contract(bench.engine, bob.address, probe_artifact.abi).call("total")


def test_events_are_decoded_and_filtered_by_indexed_arguments(bench, alice, bob):
    for key in range(4):
        bench.invoke("store", key, key * 10, f"note {key}", sender=bob if key % 2 else alice)
    number = bench.engine.mine().number
    events = bench.probe.events("Stored", 0, number)
    assert [event.args["value"] for event in events] == [0, 10, 20, 30]
    assert events[3].args == {"key": 3, "from": bob.address, "value": 30, "note": "note 3"}
    assert [e.args["key"] for e in bench.probe.events("Stored", 0, number, **{"from": bob.address})] == [1, 3]
    assert [e.args["key"] for e in bench.probe.events("Stored", 0, number, key=[0, 3])] == [0, 3]
    assert bench.probe.events("Stored", number + 1, number + 9) == []
    with pytest.raises(ValueError, match="no indexed argument 'value'"):
        bench.probe.events("Stored", 0, number, value=1)


def test_several_kinds_of_events_come_from_one_query_as_they_come_from_one_each(bench, probe_artifact, monkeypatch):
    bench.send(None, deployment_data(probe_artifact, 5, "another"))
    receipt = bench.engine.receipt(bench.engine.mine().transaction_hashes[0])
    other = Contract(bench.engine, receipt.contract_address, probe_artifact.abi)
    for number in range(3):
        bench.invoke("store", number, 10, "")
        bench.send(other.address, other.encode("store", number, 20, ""))
        bench.invoke("tag", "red", bytes(32))
    last = bench.engine.mine().number
    kinds = [(bench.probe, "Tagged"), (other, "Stored"), (bench.probe, "Stored")]
    expected = [contract.events(name, last, last) for contract, name in kinds]
    queries, logs = [], bench.engine.logs
    monkeypatch.setattr(bench.engine, "logs", lambda *arguments: queries.append(arguments) or logs(*arguments))
    assert read_events(kinds, last, last) == expected
    assert [len(events) for events in expected] == [3, 3, 3]
    assert len(queries) == 1
    assert read_events(kinds, last + 1, last + 9) == [[], [], []]
    assert read_events([], last, last) == []
    with pytest.raises(ValueError, match="no event 'Nothing'"):
        read_events([(bench.probe, "Nothing")], last, last)


def test_an_indexed_string_is_found_by_its_text_and_known_by_its_hash(bench):
    bench.invoke("tag", "blue", bytes(32))
    bench.invoke("tag", "red", bytes(32))
    number = bench.engine.mine().number
    (event,) = bench.probe.events("Tagged", 0, number, tag="blue")
    assert event.args["tag"] == keccak(b"blue")


def test_a_log_of_another_contract_is_not_decoded(bench):
    bench.invoke("store", 1, 2, "x")
    log = bench.engine.receipt(bench.engine.mine().transaction_hashes[0]).logs[0]
    assert bench.probe.decode_log(log).name == "Stored"
    assert bench.probe.decode_log(dataclasses.replace(log, address=Address(bytes(20)))) is None
    assert bench.probe.decode_log(dataclasses.replace(log, topics=())) is None


def test_the_reason_of_a_failed_transaction_is_found_after_those_before_it_in_its_block(bench, bob):
    bench.invoke("refuseOnceStored", 8)
    failed = bench.invoke("refuseOnceStored", 8, sender=bob)
    bench.engine.mine()
    bench.invoke("store", 8, 0, "")
    bench.engine.mine()
    head = bench.engine.head()
    error = revert_reason(bench.engine, failed, [bench.probe])
    assert (error.name, error.who, error.limit) == ("Refused", bob.address, 1)
    assert bench.engine.head() == head
    with pytest.raises(LedgerError, match="did not fail"):
        revert_reason(bench.engine, bench.engine.block(2).transaction_hashes[0])
    with pytest.raises(LedgerError, match="was mined"):
        revert_reason(bench.engine, bytes(32))


def test_running_out_of_gas_is_named(bench):
    failed = bench.invoke("burn", gas=60_000)
    bench.engine.mine()
    assert bench.engine.receipt(failed).status == 0
    assert revert_reason(bench.engine, failed, [bench.probe]).name == "OutOfGas"


def test_an_interface_cannot_be_deployed(probe_artifact):
    with pytest.raises(ValueError, match="cannot be deployed"):
        deployment_data(type("Interface", (), {"abi": probe_artifact.abi, "bytecode": b""})())


TYPES = {
    "uint256": st.integers(0, 2**256 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "address": st.binary(min_size=20, max_size=20).map(Address),
    "bytes32": st.binary(min_size=32, max_size=32).map(Hash32),
    "bytes": st.binary(max_size=70),
    "string": st.text(max_size=40),
    "uint8[]": st.lists(st.integers(0, 255), max_size=5).map(tuple),
}


@settings(max_examples=80, deadline=None)
@given(data=st.data(), types=st.lists(st.sampled_from(sorted(TYPES)), max_size=5))
def test_parameters_encode_as_eth_abi_and_decode_to_what_went_in(data, types):
    values = tuple(data.draw(TYPES[type_]) for type_ in types)
    parameters = Parameters([{"name": "", "type": type_} for type_ in types], "f")
    assert parameters.encode(values) == abi_encode(types, values)
    assert parameters.decode(parameters.encode(values)) == values


@settings(max_examples=60, deadline=None)
@given(garbage=st.binary(max_size=200))
def test_garbage_is_decoded_to_a_revert_and_never_to_another_exception(garbage):
    contract = Contract(None, bytes(20), [{"type": "error", "name": "E", "inputs": [{"name": "s", "type": "string"}]}])
    for selector in (b"", keccak(b"E(string)")[:4], bytes.fromhex("08c379a0"), bytes.fromhex("4e487b71")):
        assert isinstance(contract.decode_error(selector + garbage), ContractReverted)
