"""Facets and contexts."""

from chainsec.defence.features import FacetPlan, describe, plan_facets
from chainsec.defence.observation import Observation

MONDAY_S = 1_740_960_000


def ask(number=0, *, requester="ann", asset="scan", has_clock=True, time_s=MONDAY_S, **attributes):
    return Observation(
        f"0x{number}", time_s, requester, asset, "read", "treatment", attributes=attributes, has_clock=has_clock
    )


def test_a_log_without_a_clock_has_no_facets_of_time():
    assert {"clock", "week"} <= describe(ask()).keys()
    assert not {"clock", "week"} & describe(ask(has_clock=False)).keys()


def test_an_attribute_named_like_a_core_fact_cannot_replace_it():
    facets = describe(Observation("0x1", MONDAY_S, "ann", "scan", "read", "", attributes={"asset": "fake"}))
    assert facets["asset"] == "scan"
    assert facets["@asset"] == "fake"


def test_saturday_and_sunday_are_the_weekend():
    week = [describe(ask(time_s=MONDAY_S + day * 86_400))["week"] for day in range(7)]
    assert week == ["workday"] * 5 + ["weekend"] * 2


def test_a_facet_that_repeats_another_is_left_out_and_one_that_never_varies_forms_no_context():
    history = [ask(i, role=f"r{i % 2}", code=f"c{i % 2}", house="one", has_clock=False) for i in range(6)]
    plan = plan_facets(history)
    assert plan.facets == ("requester", "asset", "action", "purpose", "sensitivity", "@code", "@house")
    assert plan.names == ("requester", "asset", "@code", "requester+asset", "requester+@code", "asset+@code")


def test_contexts_are_all_singles_and_pairs_and_the_profiles():
    history = [
        ask(i, requester=f"p{i % 3}", asset=f"a{i % 5}", role=f"r{i % 2}", ward=f"w{i % 7}", has_clock=False)
        for i in range(210)
    ]
    plan = plan_facets(history)
    sizes = [len(context) for context in plan.contexts]
    assert (sizes.count(1), sizes.count(2), sizes.count(3)) == (4, 6, 2)
    assert "requester+@role+@ward" in plan.names
    assert len(set(plan.names)) == len(plan.contexts)


def test_keys_of_different_values_never_collide_by_joining():
    plan = FacetPlan(("requester", "asset"), ((0, 1),))
    assert plan.keys(["ab", "c"]) != plan.keys(["a", "bc"])
    hostile = [["ann\x1fx", "y"], ["ann", "x\x1fy"], ["ann\x1e1x", "y"], ["ann\x1e0x", "y"], ["ann\x1ex", "y"]]
    assert len({*map(tuple, map(plan.keys, hostile))}) == len(hostile)


def test_a_name_with_the_separator_in_it_is_no_other_name_and_no_requester_of_another_asset():
    plan = FacetPlan(("requester", "asset"), ((0, 1),))
    asks = [ask(0, requester="ann\x1fx", asset="y"), ask(0, requester="ann", asset="x\x1fy")]
    assert len({key for found in asks for key in plan.keys(plan.values(found))}) == 2
    assert not any("\x1f" in value for found in asks for value in plan.values(found))


def test_a_plan_survives_json_and_restriction_keeps_the_order():
    plan = plan_facets([ask(i, asset=f"a{i}", role=f"r{i % 2}", has_clock=False) for i in range(4)])
    assert FacetPlan.from_json(plan.to_json()) == plan
    narrow = plan.restrict(["@role", "asset"])
    assert narrow.names == ("asset", "@role")
    assert narrow.facets == plan.facets


def test_no_history_gives_a_plan_for_requester_and_asset():
    plan = plan_facets([])
    assert plan.facets == ("requester", "asset", "action", "purpose", "sensitivity")
    assert plan.names == ("requester", "asset", "requester+asset")
    assert plan.values(ask(role="nurse")) == ["ann", "scan", "read", "treatment", "0"]
