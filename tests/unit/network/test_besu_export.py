"""What is exported for Besu: the first block by an independent reading of the genesis, keys, lists, no leftovers."""

import json
import os
import re
import stat
import tomllib

import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie
from typer.testing import CliRunner

from chainsec.app.network_export import export_app
from chainsec.attached.keyring import ROLES, read_key
from chainsec.digest import keccak
from chainsec.errors import BadInput, ConfigError
from chainsec.ledger.account import Account
from chainsec.ledger.evm import Genesis
from chainsec.network.besu import BesuNetwork, genesis_text, read_genesis_header
from chainsec.network.besu_directory import write_export
from chainsec.network.besu_operation import ExportedFile, export_files
from chainsec.network.execution import Executor, genesis_block
from chainsec.network.extradata import ExtraData
from chainsec.primitives import Address

WEI = 10**18


def keys(count, seed=b"besu export"):
    return tuple(Account.derive(seed, str(number)) for number in range(count))


def network(**changes):
    return BesuNetwork(**{"validators": keys(4), "genesis_time_s": 1_790_000_000} | changes)


def first_fields_by_the_file(text):
    """Besu's GenesisState.buildHeader, from the JSON alone: what is absent has the default that Besu gives it."""
    found = {name.lower(): value for name, value in json.loads(text).items()}
    config = {name.lower(): value for name, value in found["config"].items()}
    accounts = HexaryTrie({})
    for address, entry in found["alloc"].items():
        code_hash, no_storage = keccak(b""), keccak(rlp.encode(b""))
        account = rlp.encode([0, int(entry["balance"], 16), no_storage, code_hash])
        accounts[keccak(bytes.fromhex(address.removeprefix("0x")))] = account

    def data(name, length):
        value = found.get(name, "0x")[2:]
        return bytes.fromhex(value.zfill(2 * length))

    def number(name, default="0x0"):
        return int(found.get(name, default), 16)

    empty_root = keccak(rlp.encode(b""))
    fields = [
        data("parenthash", 32),
        keccak(rlp.encode([])),
        data("coinbase", 20),
        accounts.root_hash,
        empty_root,
        empty_root,
        bytes(256),
        number("difficulty"),
        0,
        number("gaslimit"),
        0,
        number("timestamp"),
        bytes.fromhex(found["extradata"][2:]),
        data("mixhash", 32),
        data("nonce", 8),
    ]
    if config.get("londonblock") == 0:
        fields.append(number("basefeepergas", "0x3b9aca00"))
    if config.get("shanghaitime") == 0:
        fields.append(empty_root)
    if config.get("cancuntime") == 0:
        fields += [0, 0, bytes(32)]
    return fields


def test_the_first_block_by_the_file_alone_is_the_one_the_simulator_makes():
    chosen = network(chain_id=20_260, gas_limit=700_000_000)
    fields = first_fields_by_the_file(genesis_text(chosen))
    genesis = Genesis(chain_id=20_260, timestamp=1_790_000_000, gas_limit=700_000_000)
    addresses = [key.address for key in chosen.validators]
    header = genesis_block(genesis, addresses, Executor(20_260).put_genesis(genesis)).header
    assert len(fields) == 20
    assert rlp.encode(fields) == header.encoded
    assert keccak(rlp.encode(fields)) == header.hash == chosen.genesis_header.hash


@settings(max_examples=25)
@given(
    count=st.integers(1, 30),
    chain_id=st.integers(1, 2**62),
    time_s=st.integers(1, 2**40 - 1),
    gas_limit=st.integers(5_000, 2**63 - 1),
    seed=st.binary(max_size=8),
)
def test_any_network_reads_as_it_was_made(count, chain_id, time_s, gas_limit, seed):
    chosen = BesuNetwork(keys(count, seed), time_s, chain_id=chain_id, gas_limit=gas_limit)
    text = genesis_text(chosen)
    header = read_genesis_header(text)
    assert header == chosen.genesis_header
    assert keccak(rlp.encode(first_fields_by_the_file(text))) == header.hash
    assert header.extra == ExtraData(tuple(sorted(key.address for key in chosen.validators)))


def test_balances_in_a_genesis_file_count_in_the_first_block():
    record = json.loads(genesis_text(network()))
    rich, poor = (key.address for key in keys(2, b"holders"))
    record["alloc"] = {rich.hex(): {"balance": hex(WEI)}, "0x" + poor.hex(): {"balance": "0x1"}}
    text = json.dumps(record).encode()
    assert read_genesis_header(text).hash == keccak(rlp.encode(first_fields_by_the_file(text)))
    assert read_genesis_header(text).state_root != network().genesis_header.state_root


@pytest.mark.parametrize(
    "change",
    [
        {"baseFeePerGas": "0x3b9aca00"},
        {"baseFeePerGas": None},
        {"difficulty": "0x0"},
        {"mixHash": "0x" + "00" * 32},
        {"extraData": "0x" + ExtraData(tuple(sorted((key.address for key in keys(3)), reverse=True))).encode().hex()},
        {"extraData": "0x" + ExtraData((), round=1).encode().hex()},
        {"extraData": "0xc0"},
        {"config": {"chainId": 1}},
    ],
)
def test_a_genesis_file_that_gives_another_kind_of_first_block_is_refused(change):
    record = json.loads(genesis_text(network())) | change
    with pytest.raises(ValueError, match=r"genesis file|extraData"):
        read_genesis_header(json.dumps({name: value for name, value in record.items() if value is not None}).encode())


def test_base_fee_free_gas_and_forks_are_written_out():
    record = json.loads(genesis_text(network(block_period_s=5, request_timeout_s=10)))
    assert record["baseFeePerGas"] == "0x0"
    assert record["config"] == {
        "chainId": 1337,
        "berlinBlock": 0,
        "londonBlock": 0,
        "shanghaiTime": 0,
        "cancunTime": 0,
        "zeroBaseFee": True,
        "qbft": {"epochlength": 30_000, "blockperiodseconds": 5, "requesttimeoutseconds": 10},
    }


def test_keys_enodes_validators_and_lists_belong_together():
    chosen = network(accounts=tuple(key.address for key in keys(2, b"users")))
    files = export_files(chosen, user="1000:1000")
    enodes = json.loads(files["static-nodes.json"].content)
    validators = read_genesis_header(files["genesis.json"].content).extra.validators
    assert len(set(enodes)) == len(validators) == 4
    for number, enode in enumerate(enodes, 1):
        found = re.fullmatch(r"enode://([0-9a-f]{128})@([0-9.]+):30303", enode)
        key = Account(bytes.fromhex(files[f"nodes/node-{number}/key"].content.decode().strip().removeprefix("0x")))
        options = tomllib.loads(files[f"nodes/node-{number}/config.toml"].content.decode())
        lists = tomllib.loads(files[f"nodes/node-{number}/permissions_config.toml"].content.decode())
        assert Address(keccak(bytes.fromhex(found[1]))[12:]) == key.address
        assert key.address in validators
        assert options["p2p-host"] == found[2] == f"172.28.0.{10 + number}"
        assert options["permissions-accounts-config-file-enabled"] is True
        assert options["rpc-http-host"] == "127.0.0.1", "who reaches it can vote"
        assert lists["nodes-allowlist"] == enodes
        assert [Address(text) for text in lists["accounts-allowlist"]] == list(chosen.accounts)
        assert f'ipv4_address: "{found[2]}"' in files["docker-compose.yml"].content.decode()


def test_without_accounts_nobody_is_kept_from_sending():
    files = export_files(network(), user="0:0")
    assert tomllib.loads(files["nodes/node-1/permissions_config.toml"].content.decode())["accounts-allowlist"] == []
    options = tomllib.loads(files["nodes/node-1/config.toml"].content.decode())
    assert options["permissions-accounts-config-file-enabled"] is False
    assert options["permissions-nodes-config-file-enabled"] is True


def test_only_key_files_hold_keys_and_only_their_owner_reads_them():
    chosen = network()
    secrets = [key.private_key.hex() for key in chosen.validators]
    for name, file in export_files(chosen, user="1:1").items():
        is_key = name.endswith("/key")
        assert any(secret in file.content.decode() for secret in secrets) is is_key
        assert (file.mode == 0o600) is is_key


def test_the_readme_names_the_first_block_and_every_request_in_it_is_json():
    text = export_files(network(), user="1:1")["README.md"].content.decode()
    assert str(network().genesis_header.hash) in text
    requests = [json.loads(found) for found in re.findall(r"--data '(.*)'", text)]
    assert {request["method"] for request in requests} >= {"qbft_proposeValidatorVote", "eth_getBlockByNumber"}
    assert "3 of 4 today" in text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"validators": ()}, "--validators 0"),
        ({"validators": keys(201)}, "--validators 201"),
        ({"validators": keys(2) + keys(1)}, "is there twice"),
        ({"chain_id": 0}, "--chain-id 0"),
        ({"block_period_s": 0}, "--block-period 0"),
        ({"request_timeout_s": -4}, "--request-timeout -4"),
        ({"gas_limit": 4_999}, "--gas-limit 4999"),
        ({"host_prefix": "172.28.0"}, "--host-prefix 172.28.0:"),
        ({"host_prefix": "172.28.256."}, "--host-prefix 172.28.256.:"),
        ({"host_prefix": "127.0.0."}, "--host-prefix 127.0.0.: nodes cannot have addresses of 127.0.0.0/24"),
        ({"host_prefix": "0.0.0."}, "--host-prefix 0.0.0.:"),
        ({"host_prefix": "224.0.1."}, "--host-prefix 224.0.1.:"),
        ({"host_prefix": '1.1.1."\n'}, "--host-prefix"),
        ({"besu_version": "latest\nUSER=0"}, "--besu-version"),
        ({"besu_version": "25.12.0"}, "--besu-version 25.12.0"),
        ({"accounts": (keys(1)[0].address,) * 2}, "--account 0x"),
    ],
)
def test_an_impossible_setting_is_named_with_its_value(change, named):
    with pytest.raises(ConfigError, match=re.escape(named)):
        network(**change)


def test_files_land_whole_with_their_modes_whatever_the_mask(tmp_path):
    files = export_files(network(), user="1:1")
    before = os.umask(0o077)
    try:
        write_export(tmp_path / "net", files)
    finally:
        os.umask(before)
    written = {path for path in (tmp_path / "net").rglob("*") if path.is_file()}
    assert {path.relative_to(tmp_path / "net").as_posix() for path in written} == files.keys()
    for name, file in files.items():
        path = tmp_path / "net" / name
        assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == file
    folders = [path for path in (tmp_path / "net").rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "net", *folders]} == {0o700}
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def test_what_stands_in_a_directory_is_never_touched(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "mine").write_text("mine")
    with pytest.raises(BadInput, match=r"net: is not empty; nothing was written"):
        write_export(tmp_path / "net", {"a": ExportedFile(b"b")})
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "link"):
        with pytest.raises(BadInput, match="is not a directory"):
            write_export(tmp_path / name, {"a": ExportedFile(b"b")})
    with pytest.raises(BadInput, match="does not exist"):
        write_export(tmp_path / "no" / "net", {"a": ExportedFile(b"b")})
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "link", "mine", "net"]


def test_an_empty_directory_is_filled(tmp_path):
    (tmp_path / "net").mkdir()
    write_export(tmp_path / "net", {"a/b": ExportedFile(b"c", 0o600)})
    assert (tmp_path / "net" / "a" / "b").read_bytes() == b"c"


def test_a_write_that_fails_in_the_middle_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="a/b"):
        write_export(tmp_path / "net", {"a": ExportedFile(b"c"), "a/b": ExportedFile(b"d")})
    assert list(tmp_path.iterdir()) == []


def test_somebody_who_was_quicker_keeps_what_is_theirs(tmp_path):
    class Slow(dict):
        def items(self):
            (tmp_path / "net").mkdir()
            (tmp_path / "net" / "theirs").write_text("theirs")
            return super().items()

    with pytest.raises(BadInput, match="is not empty"):
        write_export(tmp_path / "net", Slow({"a": ExportedFile(b"b")}))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["net", "theirs"]


def test_the_command_writes_fresh_keys_lets_the_roles_send_and_overwrites_nothing(tmp_path):
    shell, user = CliRunner(), keys(1, b"user")[0].address
    words = ["besu", str(tmp_path / "net"), "--validators", "3", "--chain-id", "77", "--account", str(user)]
    told = shell.invoke(export_app, [*words, "--keys", str(tmp_path / "keys")], catch_exceptions=False)
    assert told.exit_code == 0
    header = read_genesis_header((tmp_path / "net" / "genesis.json").read_bytes())
    assert str(header.hash) in told.output
    assert "So few validators bear no fault" in told.output
    found = [Account(bytes.fromhex((tmp_path / f"net/nodes/node-{n}/key").read_text().strip()[2:])) for n in (1, 2, 3)]
    assert header.extra.validators == tuple(sorted(key.address for key in found))
    lists = tomllib.loads((tmp_path / "net/nodes/node-1/permissions_config.toml").read_text())
    roles = [read_key(tmp_path / "keys" / f"{role}.key").address for role in ROLES]
    assert [Address(text) for text in lists["accounts-allowlist"]] == [*roles, user]
    assert not any(key.private_key.hex() in told.output for key in found)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(BadInput, match="nothing was written"):
        shell.invoke(export_app, words, catch_exceptions=False)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_network_that_bears_a_fault_is_exported_without_a_warning(tmp_path):
    told = CliRunner().invoke(export_app, ["besu", str(tmp_path / "net")], catch_exceptions=False)
    assert told.exit_code == 0
    assert "bear no fault" not in told.output


def test_keys_inside_the_directory_that_is_to_be_made_are_refused_before_any_is(tmp_path):
    words = ["besu", str(tmp_path / "net"), "--keys", str(tmp_path / "net" / "keys")]
    with pytest.raises(BadInput, match=r"--keys .*net/keys: lies in"):
        CliRunner().invoke(export_app, words, catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


def test_an_account_that_is_none_is_named_with_its_option(tmp_path):
    with pytest.raises(ConfigError, match="--account 0x1234: not an address"):
        CliRunner().invoke(export_app, ["besu", str(tmp_path / "net"), "--account", "0x1234"], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


def test_bad_settings_on_the_command_line_write_nothing(tmp_path):
    for option, value in (("--validators", "0"), ("--gas-limit", "1"), ("--account", "0x12"), ("--host-prefix", "x")):
        with pytest.raises((ConfigError, BadInput), match=re.escape(value)):
            CliRunner().invoke(export_app, ["besu", str(tmp_path / "net"), option, value], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []
