"""A small run whose live part validators agree on: proved from its directory, and the same when it is taken up."""

import json
import shutil
from dataclasses import replace

import pytest

from chainsec.app.report import write_report
from chainsec.config import Config
from chainsec.errors import AuditFailed, BadInput, ConfigError, RunMismatch
from chainsec.ledger.account import Account
from chainsec.ledger.seal import write_seal
from chainsec.network.evidence import check_headers, read_headers, write_headers
from chainsec.network.messages import sign_seal
from chainsec.scenarios.audit import open_evidence, verify_run
from chainsec.scenarios.directory import digest_files, seal_content
from chainsec.scenarios.network_run import NetworkTerms
from chainsec.scenarios.report_schema import Report, deterministic_digest
from chainsec.scenarios.run import run_scenario

SEED, LIVE = 8, 12
RECORDS = ("contexts.jsonl", "receipts.jsonl", "uses.jsonl", "outcomes.jsonl", "headers.txt")
TERMS = NetworkTerms(3, "lan")
"""Three bear no fault, so that one condition only is probed."""


@pytest.fixture(scope="session")
def play_on(small):
    """Give what plays a small hospital on a network."""

    def play(path, terms=TERMS, write=lambda _: None):
        config = Config.model_validate({"seed": SEED, **small.SETTINGS})
        scenario = small.small_scenario(SEED, live=LIVE)
        return run_scenario(scenario, config, path, small.Teller(write), write_report, network=terms)

    return play


@pytest.fixture(scope="session")
def agreed(play_on, tmp_path_factory):
    """Give the directory of a finished run on a network and its report; not to be changed."""
    path = tmp_path_factory.mktemp("agreed") / "run"
    return path, play_on(path)


@pytest.fixture
def copy(agreed, tmp_path):
    """Give a copy of it to tamper with."""
    return shutil.copytree(agreed[0], tmp_path / "run")


def seal_again(run):
    write_seal(run / "chain.sqlite")
    (run / "seal.json").write_bytes(seal_content(digest_files(run)))


def test_a_run_on_a_network_is_proved_with_the_headers_that_validators_sealed(agreed):
    path, report = agreed
    summary = verify_run(path)
    assert summary.is_sealed
    headers = read_headers((path / "headers.txt").read_bytes())
    assert headers[-1].block_number == summary.blocks - 1
    assert report.network.blocks == len(headers) - 1
    assert report.network.seals == sum(len(header.extra.seals) for header in headers)
    assert headers[0].extra.seals == ()
    assert all(len(header.extra.seals) >= 2 for header in headers[1:])
    assert report.network.violations == 0
    assert report.run.engine == "3 QBFT validators"


def test_the_report_says_how_long_grants_and_revocations_take(agreed):
    network = agreed[1].network
    assert network.rounds == {"0": network.blocks}
    assert 0 < network.grant_s.p50 <= network.grant_s.p95 <= network.grant_s.p99 < 5
    assert network.grant_blocks.p50 >= 1
    [healthy] = network.conditions
    assert (healthy.name, healthy.has_agreed, healthy.cut_off_nodes) == ("healthy", True, 0)
    assert healthy.revoke_s.p50 < healthy.grant_s.p50


def test_the_same_decisions_are_made_as_on_one_chain(agreed, small, tmp_path):
    """Ticks, scores and verdicts follow from the workload; only blocks and their times are the network's."""
    report = small.play_small(tmp_path / "alone", seed=SEED, live=LIVE)
    assert report.decisions.granted == agreed[1].decisions.granted
    assert report.decisions.denied == agreed[1].decisions.denied
    assert report.decisions.escalated == agreed[1].decisions.escalated
    assert report.network is None
    assert not (tmp_path / "alone" / "headers.txt").exists()


def stop_at_tick(small, number):
    ticks = iter(range(1, number))

    def write(line):
        if line.startswith("live ") and next(ticks, None) is None:
            raise small.Stopped(line)

    return write


def test_interrupted_twice_and_taken_up_it_ends_with_the_same_bytes(agreed, play_on, small, tmp_path):
    (path, expected), run = agreed, tmp_path / "run"
    with pytest.raises(small.Stopped):
        play_on(run, write=stop_at_tick(small, 4))
    assert not (run / "headers.txt").exists()
    with pytest.raises(small.Stopped):
        play_on(run, write=small.stop_at("audit"))
    assert not (run / "seal.json").exists()
    report = play_on(run)
    assert deterministic_digest(report) == deterministic_digest(expected)
    assert report.audit.head_hash == expected.audit.head_hash
    for name in RECORDS:
        assert (run / name).read_bytes() == (path / name).read_bytes(), name
    assert verify_run(run).is_sealed


@pytest.mark.parametrize(
    "terms", [NetworkTerms(4, "lan"), NetworkTerms(3, "wan"), NetworkTerms(3, "lan", block_period_s=2)]
)
def test_a_run_on_another_network_is_refused_in_its_directory(terms, play_on, copy):
    before = {entry: entry.read_bytes() for entry in copy.rglob("*") if entry.is_file()}
    with pytest.raises(RunMismatch, match="network"):
        play_on(copy, terms)
    assert {entry: entry.read_bytes() for entry in copy.rglob("*") if entry.is_file()} == before


def flip_seal(headers):
    extra = headers[4].extra
    seal = bytearray(extra.seals[0])
    seal[10] ^= 1
    headers[4] = headers[4].sealed([bytes(seal), *extra.seals[1:]])


def drop_a_seal(headers):
    headers[4] = headers[4].sealed(headers[4].extra.seals[:1])


def repeat_a_seal(headers):
    headers[4] = headers[4].sealed([headers[4].extra.seals[0]] * 2)


def change_the_state(headers):
    headers[4] = replace(headers[4], state_root=headers[3].state_root[::-1])


def change_the_transactions(headers):
    headers[4] = replace(headers[4], transaction_root=headers[4].transaction_root[::-1])
    reseal(headers, TERMS.addresses(SEED), range(3))


def reseal(headers, validators, keys):
    """Seal everything once more from the fifth header on: a quorum that lies together."""
    config = Config.model_validate({"seed": SEED})
    by_address = {(key := TERMS.plan(config).account(number)).address: key for number in keys}
    for place in range(4, len(headers)):
        header = replace(headers[place], parent_hash=headers[place - 1].hash).with_extra(headers[place].extra)
        seals = [sign_seal(by_address[address], header.seal_hash) for address in validators]
        headers[place] = header.sealed(seals)


def change_the_proposer(headers):
    headers[4] = replace(headers[4], coinbase=headers[3].coinbase)


def seal_as_a_stranger(headers):
    stranger = Account.derive(b"test", "stranger")
    headers[4] = headers[4].sealed([*headers[4].extra.seals, sign_seal(stranger, headers[4].seal_hash)])


def drop_a_line(headers):
    del headers[4]


def drop_the_last(headers):
    del headers[-1]


def drop_the_first(headers):
    del headers[0]


def keep_the_last_alone(headers):
    del headers[:-1]


def keep_nothing(headers):
    headers.clear()


def swap(headers):
    headers[4], headers[5] = headers[5], headers[4]


def begin_with_other_validators(headers):
    first = headers[0]
    extra = replace(first.extra, validators=first.extra.validators[1:])
    headers[0] = replace(first, extra_data=extra.encode())


CHANGES = [
    flip_seal,
    drop_a_seal,
    repeat_a_seal,
    change_the_state,
    change_the_transactions,
    change_the_proposer,
    seal_as_a_stranger,
    drop_a_line,
    drop_the_last,
    drop_the_first,
    keep_the_last_alone,
    keep_nothing,
    swap,
    begin_with_other_validators,
]


@pytest.mark.parametrize("change", CHANGES)
def test_headers_that_were_changed_are_found_though_the_chain_holds(change, agreed):
    path, _ = agreed
    headers = read_headers((path / "headers.txt").read_bytes())
    with open_evidence(path) as (engine, _):
        known = {
            "validators": TERMS.addresses(SEED),
            "first_block": headers[0].block_number,
            "block_period_s": 1,
            "epoch_blocks": 30_000,
        }
        assert check_headers(headers, engine, **known) == sum(len(header.extra.seals) for header in headers)
        change(headers)
        with pytest.raises(AuditFailed, match=r"header"):
            check_headers(headers, engine, **known)


def test_a_changed_byte_of_the_headers_breaks_the_seal(copy):
    content = (copy / "headers.txt").read_bytes()
    (copy / "headers.txt").write_bytes(content[:-2] + b"\n")
    with pytest.raises(AuditFailed, match=r"headers"):
        verify_run(copy)


def begin_at_the_head_with_a_validator_of_ones_own(headers):
    made_up = Account.derive(b"test", "made up").address
    extra = replace(headers[-1].extra, validators=(made_up,), seals=(), round=0, vote=None)
    headers[:] = [headers[-1].with_extra(extra)]


def seal_everything_with_a_key_of_ones_own(headers):
    made_up = Account.derive(b"test", "made up")
    extra = replace(headers[0].extra, validators=(made_up.address,))
    headers[0] = headers[0].with_extra(extra)
    for place in range(1, len(headers)):
        header = replace(headers[place], coinbase=made_up.address, parent_hash=headers[place - 1].hash)
        header = header.with_extra(replace(headers[place].extra, validators=(made_up.address,), seals=(), round=0))
        headers[place] = header.sealed([sign_seal(made_up, header.seal_hash)])


@pytest.mark.parametrize(
    "change",
    [
        flip_seal,
        drop_the_first,
        begin_at_the_head_with_a_validator_of_ones_own,
        seal_everything_with_a_key_of_ones_own,
    ],
)
def test_headers_that_were_changed_are_found_by_the_audit_even_under_a_new_seal(change, copy):
    headers = read_headers((copy / "headers.txt").read_bytes())
    change(headers)
    (copy / "headers.txt").write_bytes(write_headers(headers))
    seal_again(copy)
    with pytest.raises(AuditFailed, match=r"block \d+: header"):
        verify_run(copy)


def test_a_run_whose_headers_are_gone_is_not_proved(copy):
    (copy / "headers.txt").unlink()
    for act in (lambda: None, lambda: seal_again(copy)):
        act()
        with pytest.raises(AuditFailed, match=r"headers\.txt: is not there"):
            verify_run(copy)


@pytest.mark.parametrize(
    "change",
    [
        {"validators": 40},
        {"condition": "byzantine"},
        {"links": "wan"},
        {"block_period_s": 5},
        {"seals": 10**6},
        {"rounds": {"0": 1}},
        {"blocks": 1},
        {"empty_blocks": 9_999},
    ],
)
def test_a_report_that_tells_another_story_of_the_network_is_found_even_under_a_new_seal(change, copy):
    report = json.loads((copy / "report.json").read_bytes())
    report["network"] |= change
    (copy / "report.json").write_text(json.dumps(report))
    seal_again(copy)
    with pytest.raises(AuditFailed, match=rf"report\.json: network\.{next(iter(change))} is"):
        verify_run(copy)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"validators": 0}, "validators: 0 is not from 1 to 40"),
        ({"validators": 41}, "validators: 41"),
        ({"validators": 4, "condition": "stormy"}, "condition: 'stormy' is none of healthy"),
        ({"validators": 3, "condition": "down"}, "3 bear none"),
    ],
)
def test_terms_that_cannot_be_are_refused_by_key_and_value(facts, words):
    with pytest.raises(ConfigError, match=words):
        NetworkTerms(**facts)


def test_a_matrix_that_is_not_there_is_refused_before_anything_is_written(play_on, tmp_path):
    with pytest.raises(BadInput, match=r"nowhere\.csv"):
        play_on(tmp_path / "run", NetworkTerms(3, str(tmp_path / "nowhere.csv")))
    assert not (tmp_path / "run").exists()


def test_who_audits_a_run_needs_no_file_but_its_directory(play_on, tmp_path):
    links = tmp_path / "links.csv"
    links.write_text("from,to,latency_ms,jitter_ms,bandwidth_mbps,loss_rate\nhome,home,2,0,100,0\n")
    report = play_on(tmp_path / "run", NetworkTerms(1, str(links)))
    assert report.network.regions == ("home",)
    links.unlink()
    assert verify_run(tmp_path / "run").is_sealed
    settings = json.loads((tmp_path / "run" / "run.json").read_bytes())
    assert settings["network"]["validators"] == 1
    assert Report.model_validate_json((tmp_path / "run" / "report.json").read_bytes()).network.validators == 1
