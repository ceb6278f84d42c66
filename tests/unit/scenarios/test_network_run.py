"""A run on a network: its terms, what its headers say, and its times held against the network that gave them."""

import json
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.config import Config
from chainsec.defence.agent import Response
from chainsec.defence.observation import Threat
from chainsec.errors import BadInput, ConfigError
from chainsec.network.conditions import CONDITIONS
from chainsec.network.extradata import ExtraData
from chainsec.network.header import EMPTY_TRIE_ROOT, Header
from chainsec.network.links import load_matrix
from chainsec.network.plan import node_account
from chainsec.network.probe import probe
from chainsec.primitives import Address, Decision, Hash32, Verdict
from chainsec.sandbox import Sandbox
from chainsec.scenarios import network_run
from chainsec.scenarios.episodes import Episode, ThreatSeen
from chainsec.scenarios.network_run import (
    NetworkTerms,
    count_headers,
    measure_network,
    open_network,
    seen_at_head,
)
from chainsec.scenarios.report_series import Quantiles
from chainsec.scenarios.workload import Attempt
from chainsec.services.access import Status

CONFIG = Config.model_validate({"seed": 8})
RECEIPT = Hash32(bytes(31) + b"\x01")
SECOND_US = 1_000_000
SEEN_S = 1_000_000
"""Simulated time at which the attack was seen."""


# Terms


@pytest.mark.parametrize("validators", [-1, 0, 41, 1_000])
def test_a_number_of_validators_out_of_range_is_refused_by_key_and_value(validators):
    with pytest.raises(ConfigError, match=f"^validators: {validators} is not from 1 to 40$") as caught:
        NetworkTerms(validators)
    assert caught.value.facts["field"] == "validators"


@given(st.integers(1, 40), st.sampled_from(list(CONDITIONS)))
def test_something_can_be_wrong_only_where_one_of_at_least_four_may_fail(validators, condition):
    if condition == "healthy" or validators >= 4:
        assert NetworkTerms(validators, condition=condition).condition == condition
    else:
        with pytest.raises(ConfigError, match=f"{validators} bear none"):
            NetworkTerms(validators, condition=condition)


def test_a_condition_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigError, match="'stormy' is none of healthy, down, partition, byzantine"):
        NetworkTerms(4, condition="stormy")


def test_terms_say_what_a_network_is_made_of():
    terms = NetworkTerms(6, "wan", "down", block_period_s=3, request_timeout_s=7.5)
    plan, regions = terms.plan(CONFIG), load_matrix("wan").regions
    assert (plan.seed, plan.validators, plan.genesis.chain_id) == (8, 6, CONFIG.chain.chain_id)
    assert plan.genesis.timestamp == CONFIG.chain.genesis_time_s
    assert (plan.qbft.block_period_s, plan.qbft.request_timeout_s) == (3, 7.5)
    assert plan.regions == tuple((regions * 6)[:6])
    assert terms.settings() == {
        "validators": 6,
        "links": "wan",
        "condition": "down",
        "block_period_s": 3,
        "request_timeout_s": 7.5,
    }


def test_regions_come_round_again_where_there_are_fewer_than_validators(tmp_path):
    links = tmp_path / "links.csv"
    rows = [f"{one},{two},5,0,100,0" for one in ("here", "there") for two in ("here", "there")]
    links.write_text("\n".join(["from,to,latency_ms,jitter_ms,bandwidth_mbps,loss_rate", *rows]) + "\n")
    assert NetworkTerms(5, str(links)).plan(CONFIG).regions == ("here", "there", "here", "there", "here")


def test_who_the_validators_are_follows_from_the_seed_and_needs_no_matrix():
    terms = NetworkTerms(5, "no such file.csv")
    assert terms.addresses(8) == [node_account(8, number).address for number in range(5)]
    assert terms.addresses(8) == NetworkTerms(5).addresses(8)
    assert set(terms.addresses(9)).isdisjoint(terms.addresses(8))
    assert terms.addresses(8)[:3] == NetworkTerms(3).addresses(8)
    assert len(set(NetworkTerms(40).addresses(8))) == 40
    for read in (terms.settings, lambda: terms.plan(CONFIG)):
        with pytest.raises(BadInput, match="no such file"):
            read()


def test_a_chain_is_opened_from_its_first_block_and_what_was_left_of_another_is_gone(tmp_path):
    path = tmp_path / "chain.sqlite"
    for name in ("chain.sqlite", "chain.sqlite-wal", "chain.sqlite-rest", "other"):
        (tmp_path / name).write_text("old")
    for _ in range(2):
        with open_network(NetworkTerms(1, "lan"), CONFIG, path) as engine:
            assert (engine.height, engine.is_live) == (0, False)
            engine.mine(CONFIG.chain.genesis_time_s + 5)
            assert engine.height == 1
        assert path.exists()
    assert (tmp_path / "other").read_text() == "old"
    assert not (tmp_path / "chain.sqlite-rest").exists()


# Headers


def header(number, round_=0, seals=0, *, is_empty=True):
    return Header(
        parent_hash=bytes(32),
        coinbase=Address(bytes(20)),
        state_root=EMPTY_TRIE_ROOT,
        block_number=number,
        gas_limit=1,
        timestamp=number,
        extra_data=ExtraData((), round=round_, seals=(bytes(65),) * seals).encode(),
        transaction_root=EMPTY_TRIE_ROOT if is_empty else bytes(32),
    )


BLOCKS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5), st.booleans()), max_size=12)


@given(BLOCKS)
def test_headers_are_counted_but_for_the_one_that_they_began_on(blocks):
    first = header(0, 7, 4, is_empty=False)
    found = count_headers([first, *(header(n, r, s, is_empty=e) for n, (r, s, e) in enumerate(blocks, 1))])
    assert found["blocks"] == len(blocks) == sum(found["rounds"].values())
    assert found["seals"] == sum(seals for _, seals, _ in blocks)
    assert found["empty_blocks"] == sum(is_empty for *_, is_empty in blocks)
    rounds = [int(round_) for round_ in found["rounds"]]
    assert rounds == sorted({round_ for round_, *_ in blocks})
    assert all(found["rounds"][str(n)] == [round_ for round_, *_ in blocks].count(n) for n in rounds)


# What a run measures


def attempt(name):
    return Attempt(SEEN_S, name, "scan", "read", "treatment", 86_400)


def use(request, who, time_s, volume_bytes, *, basis="agreed"):
    """Return a line on a use, as a gateway writes it."""
    facts = {"request": str(request.id), "requester": who, "time_s": time_s, "volume_bytes": volume_bytes}
    return json.dumps({**facts, "basis": basis, "action": "read"})


class Story:
    """What a play tells the measure: three requests on a real network, two grants, and two people cut off."""

    def __init__(self, engine, box):
        self.engine, self.box = engine, box
        self.final_us = {}
        self.episodes, self.threats, self.asked_us = [], [], []
        self.directory = SimpleNamespace(uses=SimpleNamespace(lines=[]))
        box.add_organisation("clinic")
        for name in ("ann", "ben"):
            box.add_member("clinic", name)
        self.scan, self.other = (box.add_asset("patient", text, sensitivity=1) for text in (b"a scan", b"another"))
        for asset in (self.scan, self.other):
            box.give_consent("patient", asset, "clinic", "treatment")
        engine.go_live()
        engine.network.on_import.append(
            lambda node, block: self.final_us.setdefault((node.number, block.number), node.moment_us)
        )

    @property
    def now_us(self):
        """When what is sent now is sent: once the first node is done with what came before."""
        return max(self.engine.network.time_us, self.engine.network.nodes[0].moment_us)

    def ask(self, who, asset, verdict):
        """Let somebody ask, and the agent decide; return the request."""
        asked_us = self.now_us
        request = self.box.request(who, asset, "treatment")
        requested = self.box.client.at
        self.box.deployment.sentinel.decide(self.box.keys.agent, [Decision(request, verdict, RECEIPT)])
        self.box.client.settle()
        episode = Episode(attempt(who), request, SEEN_S, requested_block=requested, decided_block=self.box.client.at)
        episode.outcome = Status.GRANTED if verdict is Verdict.GRANT else Status.DENIED
        self.episodes.append(episode)
        self.asked_us.append(asked_us)
        return request

    def cut_off(self, who, request, attack, action="revoke"):
        sent_us = self.now_us
        self.box.deployment.sentinel.revoke(self.box.keys.agent, request, RECEIPT)
        self.box.client.settle()
        threat = Threat("volume", who, (str(request.id),), 0.9, action, {})
        at = self.box.client.at
        self.threats.append(ThreatSeen(Response(threat, action, at), SEEN_S, at, SEEN_S, attack))
        return sent_us


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Give what a play on four validators left, and what measuring it gave."""
    terms = NetworkTerms(4, "wan", "byzantine")
    path = tmp_path_factory.mktemp("story") / "chain.sqlite"
    with (
        open_network(terms, CONFIG, path) as engine,
        Sandbox(engine=engine, key_seed=b"tests/network run") as box,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(network_run, "PROBES", 2)
        told = Story(engine, box)
        told.ann = told.ask("ann", told.scan, Verdict.GRANT)
        told.refused = told.ask("ann", told.other, Verdict.DENY)
        told.ben = told.ask("ben", told.scan, Verdict.GRANT)
        told.revoked_us = [told.cut_off("ann", told.ann, "mass export"), told.cut_off("ben", told.ben, "")]
        alert = Threat("volume", "ann", (), 0.5, "alert", {})
        told.threats.append(ThreatSeen(Response(alert, "alert", 0), SEEN_S, 0, SEEN_S, "mass export"))
        told.threats = seen_at_head(told.threats[:2], engine) + told.threats[2:]
        told.window_s = (max_final(told, told.threats[0]) - told.revoked_us[0]) / SECOND_US
        within_s = SEEN_S + told.window_s / 2
        told.directory.uses.lines += [
            use(told.ann, "ann", SEEN_S - 100, 3_000),
            use(told.ann, "ann", SEEN_S - 40, 50_000, basis="budget_spent"),
            use(told.ann, "ann", SEEN_S, 2_000),
            use(told.ann, "ann", within_s, 700),
            use(told.ann, "ann", within_s, 11),
            use(told.refused, "ann", within_s, 1_000_000),
            use(told.ben, "ben", within_s, 2_000_000),
            use(told.ann, "ann", SEEN_S + told.window_s + 0.001, 4_000_000),
        ]
        steps = []
        sent = (sum(engine.network.messages.values()), sum(engine.network.bytes_sent.values()))
        part = measure_network(told, engine, terms, lambda *step: steps.append(step))
        yield SimpleNamespace(told=told, engine=engine, part=part, steps=steps, sent=sent, terms=terms)


def max_final(told, seen):
    """Return when the block of a response was final at the last of the honest nodes."""
    told.engine.let_arrive()
    return max(told.final_us[node, seen.response.block] for node in range(3))


def test_the_part_repeats_the_terms_and_counts_what_the_headers_say(story):
    part, terms, headers = story.part, story.terms, story.engine.headers
    assert (part.validators, part.links, part.condition) == (terms.validators, terms.links, terms.condition)
    assert (part.block_period_s, part.request_timeout_s) == (1.0, 4.0)
    assert part.regions == story.engine.plan.regions
    counted = count_headers(headers)
    assert {name: getattr(part, name) for name in counted} == counted
    assert part.blocks == len(headers) - 1 > 4
    assert part.violations == 0


def test_messages_are_those_of_the_run_and_not_of_the_minute_after_it(story):
    part, network = story.part, story.engine.network
    assert (part.messages, part.bytes_sent) == story.sent
    assert sum(network.messages.values()) > part.messages


def test_a_grant_takes_from_its_requests_sending_until_it_is_final_where_it_was_sent(story):
    told, part = story.told, story.part
    granted = [place for place, episode in enumerate(told.episodes) if episode.outcome is Status.GRANTED]
    assert part.grants == len(granted) == 2
    final_us = [told.final_us[0, told.episodes[place].decided_block] for place in granted]
    waits = [(at_us - told.asked_us[place]) / SECOND_US for at_us, place in zip(final_us, granted, strict=True)]
    assert part.grant_s == Quantiles.of(waits)
    assert part.grant_blocks == Quantiles.of(
        [told.episodes[place].decided_block - told.episodes[place].requested_block for place in granted]
    )
    assert min(waits) > 1, "two blocks, a period apart"


def test_a_revocation_is_over_when_the_last_node_that_is_connected_has_it(story):
    told, part = story.told, story.part
    assert (part.revocations, part.never_everywhere) == (2, 0), "an alert cuts nobody off"
    acts = list(zip(told.threats[:2], told.revoked_us, strict=True))
    times = [[told.final_us[node, seen.response.block] - sent_us for node in range(3)] for seen, sent_us in acts]
    assert part.revoke_s == Quantiles.of([max(each) / SECOND_US for each in times])
    assert part.revoke_first_s == Quantiles.of([min(each) / SECOND_US for each in times])
    assert part.revoke_first_s.p50 < part.revoke_s.p50
    assert {found.reached for found in story.engine.settlements} == {frozenset({0, 1, 2})}, "the fourth lies"


def test_a_threat_was_seen_at_the_head_on_which_the_agent_acted(story):
    told = story.told
    for seen in told.threats[:2]:
        found = next(s for s in story.engine.settlements if s.first_block <= seen.response.block <= s.last_block)
        assert seen.seen_block == found.head_block < seen.response.block
    blocks = [seen.response.block - seen.seen_block for seen in told.threats[:2]]
    assert story.part.revoke_blocks == Quantiles.of(blocks)
    again = seen_at_head(told.threats[:1], story.engine)
    assert again == told.threats[:1]
    assert again[0].attack == "mass export"
    with pytest.raises(KeyError):
        seen_at_head([replace(told.threats[0], response=replace(told.threats[0].response, block=0))], story.engine)


def test_what_slips_through_is_the_attackers_allowed_uses_between_detection_and_finality(story):
    still = story.part.still_read
    assert (still.uses, still.bytes_read) == (2, 711)


def test_the_attacks_own_pace_is_what_it_had_taken_over_the_time_it_took(story):
    expected = 5_000 / 100 * story.told.window_s
    assert story.part.still_read.bytes_at_pace.p50 == pytest.approx(expected)
    assert story.part.still_read.bytes_at_pace.p99 == story.part.still_read.bytes_at_pace.p50


def test_the_network_is_probed_under_every_condition_whatever_its_own_is(story):
    found = {each.name: each for each in story.part.conditions}
    assert list(found) == list(CONDITIONS)
    assert {name: each.means for name, each in found.items()} == CONDITIONS
    assert all((each.probes, each.lost, each.has_agreed) == (2, 0, True) for each in found.values())
    assert {name: each.cut_off_nodes for name, each in found.items()} == {
        "healthy": 0,
        "down": 0,
        "partition": 1,
        "byzantine": 0,
    }
    alone = probe(NetworkTerms(4, "wan").plan(CONFIG), "healthy", probes=2)
    assert found["healthy"].grant_s == Quantiles.of(alone.grant_s)
    assert found["healthy"].revoke_s == Quantiles.of(alone.revoke_s)
    assert found["healthy"].revoke_blocks == Quantiles.of(alone.revoke_blocks)
    assert all(each.grant_s.p50 > each.revoke_s.p50 * 0.9 > 0 for each in (found["healthy"], found["partition"]))
    assert story.steps == [("conditions", done, 4) for done in range(1, 5)]
    assert all(one[1] < two[1] for one, two in pairwise(story.steps))
