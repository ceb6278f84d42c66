"""The hospital workload: sizes, consents, labels, overlap of abuse with normal life, one seed."""

import math
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from functools import cache

import pytest

from chainsec.purposes import find_purpose
from chainsec.scenarios.attacks import ATTACK_KINDS, HISTORY_SHARES, LIVE_SHARES
from chainsec.scenarios.clinic import DAY_S, START_S
from chainsec.scenarios.hospital import hospital

SEEDS = (1, 2, 3)
SCOPE = {"read": 1, "write": 2, "export": 4}


@cache
def drawn(seed):
    return hospital(seed)


@pytest.fixture(scope="module", params=SEEDS)
def workload(request):
    return drawn(request.param)


@pytest.fixture(scope="module")
def attempts(workload):
    return [*workload.history, *workload.live]


def test_the_consortium_has_the_promised_size(workload):
    roles = Counter(a.attributes["role"] for a in [*workload.history, *workload.live])
    assert len(workload.organisations) == 3
    assert {member.organisation for member in workload.members} == set(workload.organisations)
    assert len({member.name for member in workload.members}) == 60
    assert len({record.name for record in workload.records}) == 300
    assert {record.sensitivity for record in workload.records} == {0, 1, 2, 3}
    assert len({record.owner for record in workload.records}) == 100
    assert len(roles) == 5
    assert min(roles.values()) > 100


def test_there_are_enough_requests_and_history_comes_first(workload, attempts):
    assert len(attempts) >= 3300
    assert len(workload.live) >= 2000
    times = [attempt.time_s for attempt in attempts]
    assert times == sorted(times)
    assert times[0] >= START_S
    assert times[-1] < START_S + 30 * DAY_S
    assert workload.history[-1].time_s < START_S + 12 * DAY_S <= workload.live[0].time_s


def test_every_request_names_parties_assets_and_purposes_that_exist(workload, attempts):
    members = {member.name: member.organisation for member in workload.members}
    records = {record.name for record in workload.records}
    for attempt in attempts:
        assert attempt.attributes["organisation"] == members[attempt.requester]
        assert attempt.asset in records
        assert find_purpose(attempt.purpose).name == attempt.purpose
        assert all(isinstance(value, str) and value for value in attempt.attributes.values())


def test_every_request_is_covered_by_its_owners_consent_to_its_end(workload, attempts):
    members = {member.name: member.organisation for member in workload.members}
    terms = {(t.record, t.grantee, t.purpose): t for t in workload.consents}
    assert len(terms) == len(workload.consents)
    for attempt in attempts:
        found = terms[attempt.asset, members[attempt.requester], attempt.purpose]
        assert found.scope & SCOPE[attempt.action]
        assert found.scope & SCOPE["read"]
        assert attempt.time_s + attempt.duration_s <= found.until_s


def test_some_patients_withhold_research_and_all_consent_to_care(workload):
    by_purpose = defaultdict(set)
    owners = {record.name: record.owner for record in workload.records}
    for terms in workload.consents:
        by_purpose[terms.purpose].add(owners[terms.record])
    assert len(by_purpose["treatment"]) == 100
    assert 50 <= len(by_purpose["research"]) <= 90


def test_uses_fall_into_the_grant_and_rarely_leave_its_scope(attempts):
    allowed = {"read": {"read"}, "write": {"read", "write"}, "export": {"read", "export"}}
    uses = [(attempt, use) for attempt in attempts for use in attempt.uses]
    assert all(0 < use.after_s < attempt.duration_s and use.volume_bytes > 0 for attempt, use in uses)
    assert all(attempt.uses for attempt in attempts)
    beyond = sum(use.action not in allowed[attempt.action] for attempt, use in uses if not attempt.attack)
    assert 0 < beyond < 0.01 * len(uses)


def test_uses_of_an_attempt_are_in_time_order(attempts):
    assert all([u.after_s for u in a.uses] == sorted(u.after_s for u in a.uses) for a in attempts)


@pytest.mark.parametrize("seed", [20, 21, 22])
def test_attacks_stay_below_eight_percent_and_every_kind_occurs(seed):
    workload = drawn(seed)
    for part, shares in ((workload.history, HISTORY_SHARES), (workload.live, LIVE_SHARES)):
        kinds = Counter(attempt.attack for attempt in part if attempt.attack)
        assert set(kinds) == set(shares)
        assert sum(kinds.values()) <= 0.08 * len(part)
        assert sum(kinds.values()) >= 0.05 * len(part)
        assert min(kinds.values()) >= 8


def test_three_kinds_of_abuse_are_first_seen_in_the_live_part():
    assert set(ATTACK_KINDS) - set(HISTORY_SHARES) == {"mass_export", "dormant_account", "slow_exfiltration"}
    assert set(LIVE_SHARES) == set(ATTACK_KINDS)


def test_denied_is_true_for_attacks_and_for_nothing_else(attempts):
    assert all(attempt.denied is (attempt.attack is not None) for attempt in attempts)


def test_labels_come_after_the_request_and_before_live_for_history(workload):
    live_from_s = workload.history[0].time_s // DAY_S * DAY_S + 12 * DAY_S
    for attempt in [*workload.history, *workload.live]:
        assert attempt.label_at_s is None or attempt.label_at_s > attempt.time_s
    assert all(a.label_at_s is None or a.label_at_s <= live_from_s for a in workload.history)
    assert all(a.label_at_s is not None for a in workload.history if not a.denied)


def test_most_live_truths_stay_hidden_and_abuse_is_found_out_more_often(workload):
    def known(attempts):
        return sum(a.label_at_s is not None for a in attempts) / len(attempts)

    assert 0.08 < known([a for a in workload.live if not a.denied]) < 0.16
    assert 0.2 < known([a for a in workload.live if a.denied]) < 0.5
    assert known([a for a in workload.history if a.denied]) > 0.7


# The whole point of the scenario: whatever one column says, good and bad requests share it.
def test_no_single_fact_separates_abuse_from_normal_life(attempts):
    bad = [a for a in attempts if a.denied]
    good = [a for a in attempts if not a.denied]
    for name in set(good[0].attributes) - {"device", "patient"}:
        in_bad = Counter(a.attributes[name] for a in bad)
        in_good = Counter(a.attributes[name] for a in good)
        assert set(in_bad) <= set(in_good), name
        distance = sum(abs(in_bad[v] / len(bad) - in_good[v] / len(good)) for v in in_good) / 2
        assert distance < 0.5, name


def test_good_requests_break_the_rules_of_thumb_too(attempts):
    good = [a for a in attempts if not a.denied]
    assert 0.04 < sum(a.attributes["duty"] == "off duty" for a in good) / len(good) < 0.15
    assert sum(a.attributes["emergency"] == "yes" for a in good) > 50
    assert sum(a.attributes["network"] == "vpn" for a in good) > 100
    clinical = [a for a in good if a.attributes["role"] in {"nurse", "physician"}]
    assert 0.2 < sum(a.attributes["team_list"] == "not listed" for a in clinical) / len(clinical) < 0.8


def test_attackers_change_with_the_seed():
    culprits = [frozenset(a.requester for a in drawn(seed).live if a.attack == "mass_export") for seed in SEEDS]
    assert len(set(culprits)) == len(SEEDS)


def test_harm_of_mass_export_shows_in_the_uses(attempts):
    def bytes_of(kind):
        volumes = [sum(u.volume_bytes for u in a.uses) for a in attempts if a.attack == kind]
        return math.exp(sum(map(math.log, volumes)) / len(volumes))

    assert bytes_of("mass_export") > 5 * bytes_of(None)


def test_people_join_leave_and_come_back(attempts):
    first, last = {}, {}
    for attempt in attempts:
        if not attempt.attack:
            first.setdefault(attempt.requester, attempt.time_s)
            last[attempt.requester] = attempt.time_s
    assert sum(time_s > START_S + 3 * DAY_S for time_s in first.values()) >= 2
    sleepers = {a.requester for a in attempts if a.attack == "dormant_account"}
    assert all(last.get(name, START_S) < START_S + 6 * DAY_S for name in sleepers)


def test_equal_arguments_give_equal_workloads_byte_for_byte():
    assert hospital(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_hash_randomisation_does_not_reach_the_workload():
    code = (
        "from dataclasses import asdict; from chainsec.digest import digest_json;"
        "from chainsec.scenarios.hospital import hospital; print(digest_json(asdict(hospital(4))).hex())"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(texts) == 1


@pytest.mark.parametrize(
    "size", [{"days": 19}, {"history_days": 5}, {"history_days": 21}, {"staff": 19}, {"records": 89}, {"intensity": 0}]
)
def test_sizes_out_of_range_are_refused(size):
    with pytest.raises(ValueError, match="need days"):
        hospital(1, **size)


def test_other_sizes_work_and_scale():
    small = hospital(9, days=20, history_days=8, staff=25, records=90, intensity=0.5)
    assert len(small.members) == 25
    assert len(small.records) == 90
    assert 100 < len(small.history) + len(small.live) < 1500
    large = hospital(9, staff=90, records=600, intensity=1.5)
    assert len(large.members) == 90
    assert len(large.live) > 4000


def test_generation_takes_under_two_seconds_of_processor_time():
    start = time.process_time()
    hospital(11)
    assert time.process_time() - start < 2.0
