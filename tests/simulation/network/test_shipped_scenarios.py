"""Each scenario that ships shows what its ``about`` says, and shows it gone where a setting cures it."""

from itertools import pairwise

import pytest

from chainsec.network.scenario import load_scenario, shipped_scenarios

OPERATORS_PAINS = {
    "one-of-five-down",
    "lost-quorum",
    "wiped-validators",
    "added-validator",
    "reproposed-block",
    "free-gas",
    "removed-account",
    "forgotten-votes",
}


def gaps(report, since_s=0.0):
    """Return for each block its round and how long after the one before it was final."""
    return [
        (block.round, block.first_s - before.first_s)
        for before, block in pairwise(report.blocks)
        if before.first_s >= since_s
    ]


def timeouts(report):
    return [node.timeouts for node in report.nodes]


def test_the_shipped_scenarios_are_the_healthy_one_the_operators_pains_and_one_for_each_role():
    names = set(shipped_scenarios())
    assert names == {"healthy-wan", *OPERATORS_PAINS, *(name for name in names if name.startswith("byzantine-"))}
    assert len([name for name in names if name.startswith("byzantine-")]) == 6
    for name in names:
        scenario, path = load_scenario(name)
        assert path.stem == name
        assert scenario.about.strip().endswith(".")
        assert bool(scenario.variant) == (name in OPERATORS_PAINS)


def test_on_a_healthy_wan_every_block_is_agreed_on_in_its_first_round(shipped_scenario, play):
    found = play(shipped_scenario("healthy-wan", duration_s=15, load__rate_per_s=6))
    assert found.outcome == "agreed"
    assert found.rounds == {0: found.height}
    assert found.height >= 13
    assert timeouts(found) == [0] * 7
    assert (found.rejected, found.refused, found.incidents, found.failed) == ({}, {}, (), 0)
    assert [node.height for node in found.nodes] == [found.height] * 7
    assert found.agreement_s.most < 1


class TestOneOfFiveDown:
    def test_three_blocks_in_time_and_one_after_a_whole_timeout_again_and_again(self, shipped_scenario, play):
        found = play(shipped_scenario("one-of-five-down", duration_s=95, load__rate_per_s=1))
        assert found.outcome == "agreed"
        shown = gaps(found, since_s=22)
        late = [place for place, (round_, _) in enumerate(shown) if round_]
        assert len(late) >= 3
        assert {after - before for before, after in pairwise(late)} == {4}
        assert all(gap > 10 for round_, gap in shown if round_)
        assert all(gap < 2.5 for round_, gap in shown if not round_)
        assert {round_ for round_, _ in shown} == {0, 1}
        assert [node.is_up for node in found.nodes] == [True] * 4 + [False]

    def test_a_timeout_of_two_periods_makes_it_bearable_and_no_more(self, shipped_scenario, play):
        found = play(shipped_scenario("one-of-five-down", "timeout of two periods", duration_s=60, load__rate_per_s=1))
        late = [gap for round_, gap in gaps(found, since_s=22) if round_]
        assert len(late) >= 2
        assert all(4 < gap < 7 for gap in late)

    def test_once_it_is_voted_out_there_are_no_timeouts_any_more(self, shipped_scenario, play):
        scenario = shipped_scenario("one-of-five-down", "voted out", duration_s=90, load__rate_per_s=1)
        found = play(scenario)
        voted_s = 40 + 4 * 2 + 12  # every survivor has had its turn
        after = gaps(found, since_s=voted_s)
        assert len(after) >= 10
        assert all(round_ == 0 and gap < 2.5 for round_, gap in after)
        assert not found.nodes[4].is_up
        assert {block.proposer for block in found.blocks if block.first_s > voted_s} == {0, 1, 2, 3}


class TestLostQuorum:
    BACK_S = 140
    """From then on three of four are up again."""

    def resumes_s(self, found):
        return next(block.first_s for block in found.blocks if block.first_s > 30)

    def test_as_it_stands_the_stall_outlasts_the_outage_by_more_than_a_minute(self, shipped_scenario, play):
        found = play(shipped_scenario("lost-quorum", duration_s=290, load__until_s=30))
        assert found.outcome == "agreed"
        assert self.resumes_s(found) > self.BACK_S + 60
        assert found.violations == ()
        assert sum(block.round for block in found.blocks) > 4

    def test_with_catch_up_and_repeated_round_changes_it_ends_within_seconds(self, shipped_scenario, play):
        variant = "catch-up and repeated round changes"
        found = play(shipped_scenario("lost-quorum", variant, duration_s=165, load__until_s=30))
        assert found.outcome == "agreed"
        assert self.BACK_S < self.resumes_s(found) < self.BACK_S + 10
        assert [node.height for node in found.nodes if node.height < found.height - 1] == []

    def test_restarting_all_together_ends_it_too(self, shipped_scenario, play):
        found = play(shipped_scenario("lost-quorum", "all restarted together", duration_s=175, load__until_s=30))
        assert found.outcome == "agreed"
        assert 160 < self.resumes_s(found) < 170


@pytest.mark.parametrize(
    ("name", "cured_by", "back_s"),
    [("wiped-validators", "takes part after sync", 40), ("added-validator", "takes part after sync", 30)],
)
def test_nodes_that_wait_for_another_block_after_sync_stall_the_network_and_taking_part_cures_it(
    name, cured_by, back_s, shipped_scenario, play
):
    ill = play(shipped_scenario(name, duration_s=90, load__rate_per_s=1))
    assert ill.outcome == "stalled"
    assert max(block.first_s for block in ill.blocks) < back_s
    assert len({node.height for node in ill.nodes}) == 1, "all have the chain, and yet it stands still"
    assert ill.violations == ()
    cured = play(shipped_scenario(name, cured_by, duration_s=90, load__rate_per_s=1))
    assert cured.outcome == "agreed"
    assert max(block.first_s for block in cured.blocks) > 85
    after = gaps(cured, since_s=75)
    assert after
    assert all(round_ == 0 for round_, _ in after)


def test_the_added_validator_proposes_once_it_takes_part(shipped_scenario, play):
    cured = play(shipped_scenario("added-validator", "takes part after sync", duration_s=90, load__rate_per_s=1))
    assert [node.is_validator for node in cured.nodes] == [True, True]
    assert {block.proposer for block in cured.blocks if block.first_s > 70} == {0, 1}


class TestReproposedBlock:
    def test_compared_in_the_wrong_round_it_is_refused_for_ever(self, shipped_scenario, play):
        found = play(shipped_scenario("reproposed-block", duration_s=60, load__rate_per_s=1))
        assert found.outcome == "stalled"
        assert "proposal: its block is not the one that was prepared last" in found.rejected
        assert found.violations == ()

    def test_compared_in_its_own_round_the_next_round_agrees_on_it(self, shipped_scenario, play):
        found = play(
            shipped_scenario("reproposed-block", "compared in its own round", duration_s=40, load__rate_per_s=1)
        )
        assert found.outcome == "agreed"
        assert found.rejected == {}
        assert sum(count for round_, count in found.rounds.items() if round_) >= 3

    def test_a_timeout_that_fits_avoids_it_altogether(self, shipped_scenario, play):
        found = play(shipped_scenario("reproposed-block", "a timeout that fits", duration_s=20, load__rate_per_s=1))
        assert found.outcome == "agreed"
        assert set(found.rounds) == {0}
        assert timeouts(found) == [0] * 4


def test_where_three_of_four_ask_for_a_price_three_of_four_blocks_are_empty_and_none_once_nobody_does(
    shipped_scenario, play
):
    busy = slice(3, 19)  # the load has begun and has not ended
    ill = play(shipped_scenario("free-gas", duration_s=22, load__rate_per_s=8))
    full = [bool(block.transactions) for block in ill.blocks[busy]]
    assert (full.count(True), full.count(False)) == (4, 12)
    assert {block.proposer for block in ill.blocks if block.transactions} == {0}
    assert ill.outcome == "agreed"
    cured = play(shipped_scenario("free-gas", "no price anywhere", duration_s=22, load__rate_per_s=8))
    assert all(block.transactions for block in cured.blocks[busy])
    assert ill.waiting_s.p50 > 1.5 * cured.waiting_s.p50


def test_todays_allowlist_keeps_a_late_node_behind_for_ever_and_rules_as_of_the_parent_let_it_catch_up(
    shipped_scenario, play
):
    ill = play(shipped_scenario("removed-account", duration_s=70, load__rate_per_s=4))
    assert ill.outcome == "stalled"
    assert "node-4" in ill.said
    *members, late = [node.height for node in ill.nodes]
    assert set(members) == {ill.height}
    assert late < 10
    assert any("may not call" in reason for reason in ill.rejected)
    cured = play(
        shipped_scenario("removed-account", "rules on chain, as of the parent", duration_s=70, load__rate_per_s=4)
    )
    assert cured.outcome == "agreed"
    assert [node.height for node in cured.nodes] == [cured.height] * 5
    assert cured.rejected == {}
    assert cured.refused == {}


def test_forgotten_votes_fork_the_network_and_votes_kept_on_disk_do_not(shipped_scenario, play):
    forked = play(shipped_scenario("forgotten-votes", duration_s=40, load__rate_per_s=2))
    assert forked.outcome == "forked"
    assert forked.violations
    assert "height 4" in forked.said
    assert "hash" in forked.said
    assert any(incident.event == "disagreement" for incident in forked.incidents)
    kept = play(shipped_scenario("forgotten-votes", "votes kept on disk", duration_s=40, load__rate_per_s=2))
    assert kept.outcome == "agreed"
    assert kept.violations == ()
    rounds_of_fourth = {span.round for span in kept.spans if span.height == 4 and span.ends_final}
    assert min(rounds_of_fourth) == 0 < max(rounds_of_fourth), (
        "the same block is agreed on again by those who had not seen it final"
    )


CALM = {0: 0, 1: 0, 2: 0, 3: 0}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("byzantine-bad-seals", "commit: its seal is not its author's"),
        ("byzantine-forged-round-changes", "round change: one of its prepares does not count"),
    ],
)
def test_bad_seals_and_forged_round_changes_are_refused_and_cost_no_time(name, reason, shipped_scenario, play):
    found = play(shipped_scenario(name, duration_s=20, load__rate_per_s=2))
    assert found.outcome == "agreed"
    assert set(found.rounds) == {0}
    assert timeouts(found) == [0, 0, 0, 0]
    assert found.height >= 18
    assert all(each.startswith(reason) for each in found.rejected)
    assert sum(found.rejected.values()) >= 3 * (found.height - 1)
    assert found.nodes[1].rejected == 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("byzantine-silence", None),
        ("byzantine-invalid-blocks", "proposal: executed here, its state root is another"),
        ("byzantine-forbidden-transaction", "may not call"),
    ],
)
def test_a_proposer_that_nobody_can_follow_loses_its_turns_to_timeouts_and_nothing_else(
    name, reason, shipped_scenario, play
):
    found = play(shipped_scenario(name, duration_s=40, load__rate_per_s=2))
    assert found.outcome == "agreed"
    assert {node.role for node in found.nodes} == {"Validator", found.nodes[1].role}
    since = [block for block in found.blocks if block.first_s > 6]
    assert {block.proposer for block in since} == {0, 2, 3}
    late = [place for place, block in enumerate(since) if block.round]
    assert {after - before for before, after in pairwise(late)} == {3}, "every fourth turn"
    assert {block.round for block in since} == {0, 1}
    if reason is None:
        assert found.rejected == {}
    else:
        assert all(reason in each for each in found.rejected)
        assert all(found.nodes[place].rejected for place in (0, 2, 3))


def test_a_silent_validator_says_nothing_of_its_own(shipped_scenario, play):
    scenario = shipped_scenario("byzantine-silence", duration_s=12, load__entry=0, network__has_gossip=False)
    found = play(scenario)
    assert found.outcome == "agreed"
    assert (found.nodes[1].proposed, found.nodes[1].timeouts) == (0, 0)
    assert found.message_matrix[1] == (0, 0, 0, 0)
    assert all(row[1] for row in found.message_matrix if row[0] or row[3]), "the others talk to it"
    assert found.nodes[1].height == found.height, "it listens"


def test_of_two_blocks_that_an_equivocator_proposes_at_most_one_becomes_final(shipped_scenario, play):
    found = play(shipped_scenario("byzantine-equivocation", duration_s=50, load__rate_per_s=2))
    assert found.outcome == "agreed"
    assert found.violations == ()
    assert sum(incident.event == "equivocated" for incident in found.incidents) >= 2
    assert set(found.rejected) == {"prepare: it is for another block", "commit: it is for another block"}
    assert min(node.height for node in found.nodes) >= found.height - 1
