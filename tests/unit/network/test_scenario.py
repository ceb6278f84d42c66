"""What a scenario may say beyond what the command line's tests refuse: defaults, variants, places, matrices."""

import pytest
from pydantic import ValidationError

from chainsec.config import first_problem
from chainsec.errors import BadInput, ConfigError
from chainsec.network.machine import Machine
from chainsec.network.scenario import NetworkScenario, load_scenario, shipped_scenarios
from chainsec.network.surroundings import QbftSettings


def describe(**content):
    return NetworkScenario.model_validate({"name": "x", **content})


def test_what_is_left_out_is_four_honest_validators_on_the_wan_with_besus_defaults():
    found = describe()
    assert (found.network.nodes, found.validators, found.network.matrix) == (4, 4, "wan")
    assert found.qbft_settings == QbftSettings()
    assert found.machine_model == Machine()
    assert (found.fault, found.byzantine, found.warns_of, found.load.kind) == ((), (), "nothing", "none")


def test_nodes_stand_in_the_named_regions_in_turn_or_in_all_that_there_are():
    named = describe(network={"nodes": 5, "regions": ["uk", "japan"]})
    assert named.places(named.matrix()) == ("uk", "japan", "uk", "japan", "uk")
    anywhere = describe(network={"nodes": 3})
    matrix = anywhere.matrix()
    assert anywhere.places(matrix) == matrix.regions[:3]


def test_variants_come_after_the_scenario_as_it_stands_and_change_what_they_name_and_nothing_else():
    found = describe(
        load={"kind": "fixed"},
        variant=[
            {"name": "fast", "change": {"qbft.request_timeout_s": 1.5, "network.nodes": 7}},
            {"name": "calm", "change": {"fault": []}},
        ],
        fault=[{"kind": "crash", "nodes": [1], "at_s": 3}],
    )
    (first, bare), (second, fast), (third, calm) = found.variants()
    assert (first, second, third) == ("as it stands", "fast", "calm")
    assert bare == found.model_copy(update={"variant": ()})
    assert (fast.qbft.request_timeout_s, fast.network.nodes) == (1.5, 7)
    qbft = bare.qbft.model_copy(update={"request_timeout_s": 1.5})
    network = bare.network.model_copy(update={"nodes": 7})
    assert fast == bare.model_copy(update={"qbft": qbft, "network": network})
    assert (calm.fault, calm.load) == ((), bare.load)
    assert found.fault[0].nodes == (1,)


@pytest.mark.parametrize("key", ["patience", "qbft.patience", "fault.0.at_s", "qbft.patience.of"])
def test_a_variant_cannot_change_what_is_not_there(key):
    found = describe(variant=[{"name": "v", "change": {key: 1}}])
    with pytest.raises(ConfigError, match=f"variant 'v': unknown key '{key}'"):
        found.variants()


def test_a_variant_is_checked_as_a_scenario_of_its_own():
    found = describe(
        fault=[{"kind": "crash", "nodes": [3], "at_s": 1}], variant=[{"name": "v", "change": {"network.nodes": 3}}]
    )
    with pytest.raises(ConfigError, match=r"variant 'v': fault\.0\.nodes: no node 3 among 3"):
        found.variants()


def test_who_fails_is_checked_against_nodes_and_who_lies_against_validators():
    three = {"nodes": 5, "validators": 3}
    assert describe(network=three, fault=[{"kind": "crash", "nodes": [4], "at_s": 1}]).fault
    liars = [{"node": node, "role": "silent"} for node in range(3)]
    with pytest.raises(ValidationError, match="3 of 3 validators: nobody honest is left"):
        describe(network=three, byzantine=liars)


def test_a_scenario_cannot_be_changed_once_it_is_checked():
    found = describe()
    with pytest.raises(ValidationError):
        found.seed = 3


def test_a_matrix_is_looked_for_beside_the_scenario_that_names_it(tmp_path):
    (tmp_path / "m.csv").write_text("from,to,latency_ms,jitter_ms,bandwidth_mbps,loss_rate\nhome,home,3,0,100,0\n")
    found = describe(network={"matrix": "m.csv"})
    assert found.matrix(tmp_path).regions == ("home",)
    with pytest.raises(BadInput, match=r"m\.csv"):
        found.matrix(tmp_path / "elsewhere")


def test_the_region_of_a_fault_is_refused_by_the_faults_own_key():
    found = describe(fault=[{"kind": "links", "at_s": 1, "factor": 2, "receivers": ["uk", "mars"]}])
    with pytest.raises(BadInput, match=r"fault\.0\.receivers: no region 'mars'"):
        found.matrix()


def test_a_seed_given_takes_the_place_of_the_files():
    assert load_scenario("healthy-wan")[0].seed == 7
    assert load_scenario("healthy-wan", 12)[0].seed == 12
    with pytest.raises(ConfigError, match=r"seed: .*-3"):
        load_scenario("healthy-wan", -3)


def test_every_shipped_scenario_can_be_loaded_and_warns_of_what_it_shows():
    warned = {name: load_scenario(name)[0].warns_of for name in shipped_scenarios()}
    assert warned["forgotten-votes"] == "fork"
    assert {name for name, what in warned.items() if what == "stall"} == {
        "wiped-validators", "added-validator", "reproposed-block", "removed-account"
    }  # fmt: skip
    assert all(what == "nothing" for name, what in warned.items() if name.startswith(("byzantine", "healthy")))


def test_no_block_is_too_small_for_the_contracts_that_a_load_needs():
    with pytest.raises(ValidationError, match="gas_limit"):
        describe(network={"gas_limit": 7_999_999})
    assert describe(network={"gas_limit": 8_000_000}).network.gas_limit == 8_000_000


def test_a_variant_warns_for_itself_and_the_scenario_for_how_it_stands_alone():
    found = describe(
        warns_of="fork",
        variant=[
            {"name": "cured", "change": {"seed": 8}},
            {"name": "halted", "change": {"seed": 9}, "warns_of": "stall"},
        ],
    )
    assert [variant.warns_of for _, variant in found.variants()] == ["fork", "nothing", "stall"]
    assert [variant.seed for _, variant in found.variants()] == [7, 8, 9]


WAN = {"nodes": 4, "regions": ["us-east", "japan"]}


def links(**keys):
    return {"kind": "links", "at_s": 1, **keys}


def test_each_link_that_faults_make_is_built_when_the_scenario_is_checked():
    assert describe(network=WAN, fault=[links(factor=700)]).matrix().link("us-east", "japan").latency_ms == 81
    with pytest.raises(BadInput, match=r"fault\.0\.factor: 800\.0: latency_ms is 6.*from 'us-east' to 'japan'"):
        describe(network=WAN, fault=[links(factor=800, senders=["us-east"], receivers=["japan"])]).matrix()


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ({"network": {"nodes": True}}, "network.nodes"),
        ({"network": {"nodes": "5"}}, "network.nodes"),
        ({"network": {"nodes": 5.0}}, "network.nodes"),
        ({"network": {"regions": "uk"}}, "network.regions"),
        ({"network": {"has_gossip": 1}}, "network.has_gossip"),
        ({"duration_s": "20"}, "duration_s"),
        ({"fault": [{"kind": "crash", "nodes": [0, True], "at_s": 1}]}, "fault.0.nodes.1"),
        ({"fault": [{"kind": "partition", "groups": [[0], ["1"]], "at_s": 1}]}, "fault.0.groups.1.0"),
        ({"load": {"kind": "fixed", "rate_per_s": True}}, "load.rate_per_s"),
    ],
)
def test_a_value_of_another_type_is_refused_however_much_it_looks_like_the_right_one(content, key):
    with pytest.raises(ValidationError) as caught:
        describe(**content)
    assert first_problem(caught.value).startswith(f"{key}: Input should be a valid ")


@pytest.mark.parametrize(("until_s", "is_refused"), [(None, True), (5.0, True), (3.0, False)])
def test_faults_that_overlap_are_checked_together_and_those_that_do_not_are_not(until_s, is_refused):
    found = describe(network=WAN, fault=[links(factor=30, until_s=until_s), {**links(factor=30), "at_s": 3}])
    if not is_refused:
        found.matrix()
        return
    with pytest.raises(BadInput, match=r"fault\.1\.factor: 30\.0: latency_ms is "):
        found.matrix()


@pytest.mark.parametrize("until_s", [None, 3.0])
def test_machines_are_no_slower_together_than_a_million_times(until_s):
    slow = {"kind": "slow", "nodes": [1], "at_s": 1, "factor": 1_000}
    faults = [{**slow, "until_s": until_s}, {**slow, "at_s": 2}, {**slow, "at_s": 3, "nodes": [1, 2]}]
    if until_s:
        assert len(describe(fault=faults).fault) == 3
    else:
        with pytest.raises(ValidationError, match=r"fault\.2\.factor: 1000\.0: with others node 1 is 1e\+09"):
            describe(fault=faults)


def test_a_byzantine_node_may_be_one_that_is_voted_in():
    five = {"nodes": 5, "validators": 4}
    vote = {"kind": "vote", "nodes": [0, 1, 2], "subject": 4, "at_s": 3}
    liar = [{"node": 4, "role": "silent"}]
    assert describe(network=five, byzantine=liar, fault=[vote]).byzantine[0].node == 4
    for faults in ([], [{**vote, "is_add": False}]):
        with pytest.raises(ValidationError, match=r"byzantine\.0\.node: 4 is none of 4 validators"):
            describe(network=five, byzantine=liar, fault=faults)


KEYS = {
    "nodes": [1],
    "groups": [[0], [1]],
    "skew_ms": 5,
    "factor": 2,
    "senders": ["uk"],
    "receivers": ["uk"],
    "jitter_ms": 5,
    "bandwidth_mbps": 10,
    "loss_rate": 0.1,
    "subject": 2,
    "is_add": False,
    "accounts": [3],
}
"""A value that says something, for every key of a fault besides its times."""
TAKES = {
    "crash": ({"nodes"}, set()),
    "wipe": ({"nodes"}, set()),
    "partition": ({"groups"}, set()),
    "skew": ({"nodes", "skew_ms"}, set()),
    "slow": ({"nodes", "factor"}, set()),
    "links": ({"loss_rate"}, {"factor", "jitter_ms", "bandwidth_mbps", "senders", "receivers"}),
    "vote": ({"nodes", "subject"}, {"is_add"}),
    "allow": ({"accounts"}, {"is_add"}),
}


@pytest.mark.parametrize("kind", TAKES)
def test_each_kind_of_fault_takes_its_own_keys_and_no_others(kind):
    needed, free = TAKES[kind]
    right = {"kind": kind, "at_s": 1, "until_s": 2, **{key: KEYS[key] for key in needed}}
    network = {"permissions": "contract"}
    assert describe(network=network, fault=[right]).fault[0].kind == kind
    for key, value in KEYS.items():
        if key in needed:
            lacking = {name: right[name] for name in right if name != key}
            with pytest.raises(ValidationError, match=rf"{key}.*: a fault of kind '{kind}' needs"):
                describe(network=network, fault=[lacking])
        elif key in free:
            assert describe(network=network, fault=[{**right, key: value}])
        else:
            with pytest.raises(ValidationError, match=f"{key}: a fault of kind '{kind}' takes none"):
                describe(network=network, fault=[{**right, key: value}])
