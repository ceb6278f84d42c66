import random
import re
import shutil
import sqlite3

import pytest
import rlp

from chainsec.digest import keccak
from chainsec.errors import AuditFailed
from chainsec.ledger import verify
from chainsec.ledger.account import Account
from chainsec.ledger.engine import open_engine
from chainsec.ledger.seal import broken_page, seal_path, wal_path
from chainsec.ledger.verify import verify_chain

REPLACE = "UPDATE settings SET value = CAST(replace(CAST(value AS TEXT), '{}', '{}') AS BLOB) WHERE name = 'genesis'"


@pytest.fixture(scope="module")
def evidence(tmp_path_factory, bench_class):
    """A closed chain of 5 blocks with calls, failures, transfers, an empty block, and a taken-back one."""
    people = [Account.derive(b"tests", name) for name in ("alice", "bob")]
    path = tmp_path_factory.mktemp("evidence") / "chain.sqlite"
    with open_engine(path=path, accounts=people) as engine:
        bench = bench_class(engine)
        for number in range(3):
            bench.invoke("store", number, number, "x" * 40)
            bench.invoke("refuse", 1, sender=people[1])
            bench.send(bytes([number + 1]) * 20, value=3)
            mark = engine.snapshot()
            engine.mine()
            if number == 1:
                engine.revert(mark)
                engine.mine(engine.head().timestamp + 60)
        engine.mine()
    return path


@pytest.fixture
def copy(evidence, tmp_path):
    for path in (evidence, seal_path(evidence)):
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / evidence.name


def spoil(path, statement, *values, is_unsealed=True):
    connection = sqlite3.connect(path, isolation_level=None)
    changed = connection.execute(statement, values).rowcount
    connection.close()
    assert changed
    if is_unsealed:
        seal_path(path).unlink()


def test_a_sound_chain_is_proved_block_by_block_and_not_touched(copy):
    before = (copy.read_bytes(), sorted(entry.name for entry in copy.parent.iterdir()))
    seen = []
    summary = verify_chain(copy, lambda *progress: seen.append(progress))
    assert (summary.blocks, summary.transactions, summary.receipts) == (6, 10, 10)
    assert seen == [(number, 5) for number in range(1, 6)]
    assert (copy.read_bytes(), sorted(entry.name for entry in copy.parent.iterdir())) == before
    with open_engine(path=copy) as engine:
        assert engine.head().hash == summary.head_hash


def test_one_flipped_byte_anywhere_in_the_file_is_found(copy):
    sound = copy.read_bytes()
    chance = random.Random(11)
    for _ in range(60):
        place = chance.randrange(len(sound))
        copy.write_bytes(sound[:place] + bytes([sound[place] ^ (1 << chance.randrange(8))]) + sound[place + 1 :])
        with pytest.raises(AuditFailed):
            verify_chain(copy)
    copy.write_bytes(sound)
    assert verify_chain(copy).blocks == 6


def test_one_flipped_byte_in_any_record_is_found_without_the_seal(copy):
    seal_path(copy).unlink()
    sound = copy.read_bytes()
    connection = sqlite3.connect(copy)
    values = [row[0] for row in connection.execute("SELECT value FROM records UNION ALL SELECT data FROM logs")]
    connection.close()
    chance = random.Random(12)
    for value in chance.sample([value for value in values if len(value) > 8], 40):
        start = sound.find(value)
        if start < 0:  # it spans an overflow page
            continue
        place = start + chance.randrange(len(value))
        copy.write_bytes(sound[:place] + bytes([sound[place] ^ 0x10]) + sound[place + 1 :])
        with pytest.raises(AuditFailed, match=r"block|state node|lookup|score|record"):
            verify_chain(copy)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE logs SET data = zeroblob(3) WHERE block = 3", r"block 3: log index row 0"),
        ("DELETE FROM logs WHERE block = 2", r"block 2: log index row 0"),
        ("UPDATE transactions SET gas_used = 1 WHERE block = 4 AND position = 2", r"block 4: transaction index row 2"),
        ("INSERT INTO logs SELECT 99, 0, 0, hash, address, topic0, NULL, NULL, NULL, data FROM logs LIMIT 1", "logs"),
        ("INSERT INTO records VALUES (x'0102', x'03')", "does not follow from the blocks"),
        ("INSERT INTO records VALUES ('text', 'text')", "does not follow from the blocks"),
        ("INSERT INTO settings VALUES ('more', x'00')", "settings row"),
        ("UPDATE settings SET value = CAST('3' AS BLOB) WHERE name = 'height'", "does not follow|record"),
        ("UPDATE settings SET value = CAST('99999999999999999999' AS BLOB) WHERE name = 'height'", "block 6: header"),
        ("UPDATE settings SET value = CAST('x' AS BLOB) WHERE name = 'height'", "settings"),
        ("UPDATE settings SET value = '5' WHERE name = 'height'", "setting height"),
        ("DELETE FROM settings WHERE name = 'genesis'", "setting genesis"),
        (REPLACE.format("1337", "1338"), "block 1: transaction 0: is for another chain"),
        (REPLACE.format("1000000000000000000000000", "1"), "block 0: header: state_root"),
        ("UPDATE settings SET value = zeroblob(32) WHERE name = 'genesis_hash'", "settings row"),
        ("DELETE FROM records WHERE key = CAST('block-number-to-hash:2' AS BLOB)", "block 2: header"),
        ("UPDATE records SET value = x'c0' WHERE key = CAST('v1:chain_gaps' AS BLOB)", "record v1:chain_gaps"),
        ("DELETE FROM records WHERE CAST(key AS TEXT) LIKE 'transaction-hash-to-block:%'", "transaction lookup"),
        ("UPDATE records SET value = 7 WHERE key = CAST('v1:canonical_head_hash' AS BLOB)", "canonical_head_hash"),
    ],
)  # fmt: skip
def test_the_first_record_that_differs_is_named(copy, statement, words):
    spoil(copy, statement)
    with pytest.raises(AuditFailed, match=words) as caught:
        verify_chain(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value", [b"", b"\xc0", b"\xf8" * 40, b"\xbf" + b"\xff" * 8, b"\xc1" * 3000, rlp.encode([b"x"] * 20)]
)
def test_hostile_bytes_in_place_of_a_header_end_in_the_same_error(copy, value):
    spoil(copy, "INSERT OR REPLACE INTO records VALUES (?, ?)", keccak(value), value, is_unsealed=False)
    pointer = rlp.encode(keccak(value))
    spoil(copy, "UPDATE records SET value = ? WHERE key = CAST('block-number-to-hash:3' AS BLOB)", pointer)
    with pytest.raises(AuditFailed, match="block 3: header"):
        verify_chain(copy)


def test_a_receipt_that_was_rewritten_is_named_with_its_block(copy):
    with open_engine(path=copy) as engine:
        block = engine.chain.get_canonical_block_by_number(3)
        receipts = block.get_receipts(engine.chain.chaindb)
    leaf = next(
        key
        for key, value in sqlite3.connect(copy).execute("SELECT key, value FROM records WHERE length(key) = 32")
        if receipts[0].encode() in value
    )
    spoil(copy, "UPDATE records SET value = zeroblob(length(value)) WHERE key = ?", leaf)
    with pytest.raises(AuditFailed, match=r"block 3: receipt 0"):
        verify_chain(copy)


STATEMENTS = [
    "UPDATE logs SET data = zeroblob(3) WHERE block = 4",
    "UPDATE transactions SET gas_used = 1 WHERE block = 2 AND position = 1",
    "INSERT INTO records VALUES (x'0102', x'03')",
    "UPDATE records SET value = x'c0' WHERE key = CAST('block-number-to-hash:2' AS BLOB)",
    "DELETE FROM records WHERE CAST(key AS TEXT) LIKE 'block-hash-to-score:%'",
    "UPDATE records SET value = x'c0' WHERE key = CAST('v1:chain_gaps' AS BLOB)",
]


@pytest.mark.parametrize("statement", [None, *STATEMENTS])
def test_several_processes_find_what_one_finds(copy, statement, monkeypatch):
    if statement:
        spoil(copy, statement)

    def outcome(processes):
        seen = []
        try:
            return verify_chain(copy, lambda *progress: seen.append(progress), processes=processes), seen[-1]
        except AuditFailed as failed:
            return str(failed)

    alone = outcome(1)
    monkeypatch.setattr(verify, "_LEAST_GAS", 1)
    monkeypatch.setattr(verify.subprocess, "Popen", counting := CountingPopen())
    assert outcome(3) == alone
    assert counting.started == 2


class CountingPopen:
    def __init__(self):
        self.started = 0
        self._popen = verify.subprocess.Popen

    def __call__(self, *arguments, **options):
        self.started += 1
        return self._popen(*arguments, **options)


def test_a_helper_that_dies_fails_the_audit(copy, monkeypatch):
    monkeypatch.setattr(verify, "_LEAST_GAS", 1)
    monkeypatch.setattr(verify.sys, "executable", "/bin/false")
    with pytest.raises(AuditFailed, match=r"blocks \d+ to 5: the process that executed them ended with 1"):
        verify_chain(copy, processes=2)


def test_a_seal_that_was_changed_is_noticed(copy):
    seal = seal_path(copy)
    text = seal.read_text().splitlines()
    for broken in (text[:-1], [*text, text[0]], [text[0].replace(text[0][0], "g"), *text[1:]]):
        seal.write_text("".join(f"{line}\n" for line in broken))
        assert broken_page(copy) is not None
        with pytest.raises(AuditFailed, match=r"page \d+ is not as it was sealed"):
            verify_chain(copy)


def test_a_write_ahead_log_left_behind_is_proved_and_its_changes_are_found(tmp_path, bench_class, alice, bob):
    path = tmp_path / "chain.sqlite"
    engine = open_engine(path=path, accounts=[alice, bob])
    bench = bench_class(engine)
    bench.invoke("store", 1, 1, "x")
    engine.mine()
    left = tmp_path / "left"
    left.mkdir()
    for source in (path, wal_path(path)):
        shutil.copy(source, left / source.name)
    engine.close()
    copy = left / path.name
    assert verify_chain(copy).blocks == 3
    wal = wal_path(copy)
    sound = wal.read_bytes()
    chance = random.Random(5)
    for _ in range(25):
        place = chance.randrange(len(sound))
        wal.write_bytes(sound[:place] + bytes([sound[place] ^ 0x40]) + sound[place + 1 :])
        with pytest.raises(AuditFailed, match=re.escape(wal.name)):
            verify_chain(copy)
    wal.write_bytes(sound[:-100])
    assert verify_chain(copy).blocks == 2


def test_a_commit_cut_short_by_a_kill_is_gone_before_the_next_one(tmp_path, alice):
    path = tmp_path / "chain.sqlite"
    engine = open_engine(path=path, accounts=[alice])

    def send(to):
        nonce = engine.next_nonce(alice.address)
        engine.send(alice.sign(nonce=nonce, to=to, value=1, gas=21_000, chain_id=engine.chain_id).raw)

    send(bytes(20))
    engine.mine()
    before = wal_path(path).stat().st_size
    for number in range(30):
        send(bytes(19) + bytes([number + 1]))
    engine.mine()
    left = tmp_path / "left"
    left.mkdir()
    for source in (path, wal_path(path)):
        shutil.copy(source, left / source.name)
    engine.close()
    copy = left / path.name
    with wal_path(copy).open("r+b") as wal:
        wal.truncate((before + wal_path(copy).stat().st_size) // 2)
    with open_engine(path=copy, accounts=[alice]) as again:
        assert again.head().number == 1
        again.mine()
        (tmp_path / "twice").mkdir()
        for source in (copy, wal_path(copy)):
            shutil.copy(source, tmp_path / "twice" / source.name)
    assert verify_chain(tmp_path / "twice" / path.name).blocks == 3


@pytest.mark.parametrize("content", [None, b"", b"SQLite format 3\x00" + bytes(5000), b"x" * 9000])
def test_what_is_no_chain_at_all_fails_the_audit(tmp_path, content):
    path = tmp_path / "chain.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AuditFailed, match=r"chain\.sqlite"):
        verify_chain(path)
