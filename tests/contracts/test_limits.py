"""Limits of the Sentinel: announced a day before, cancelled by guardians, and never a way round a budget."""

import pytest

DAY_S = 86_400
LIMITS = (2, DAY_S, 500, 40, 3 * DAY_S, 7 * DAY_S)


def test_limits_change_a_day_after_they_were_announced(system, reverts):
    limits = (1, 3_600, 5, 6, 7, 8)
    data = system.contracts["Sentinel"].encode("setLimits", limits)
    with reverts("AccessManagerNotScheduled"):
        system.send_raw(system.keys.policy, "Sentinel", data)
    system.schedule(data)
    announced = system.now_s
    with reverts("AccessManagerNotReady"):
        system.send(system.keys.policy, "Sentinel", "setLimits", limits, at_s=announced + DAY_S - 1)
    assert system.call("Sentinel", "limitsInForce") == LIMITS
    receipt = system.send(system.keys.policy, "Sentinel", "setLimits", limits, at_s=announced + DAY_S)
    assert ("LimitsSet" in [name for name, _ in system.events(receipt)]) is True
    assert system.call("Sentinel", "limitsInForce") == limits
    with reverts("AccessManagerNotScheduled"):
        system.send_raw(system.keys.policy, "Sentinel", data)


def test_guardians_and_nobody_else_cancel_an_announced_change(system, reverts):
    data = system.contracts["Sentinel"].encode("setLimits", (3, 1, 99, 99, 99, 99))
    system.schedule(data)
    call = ("Authority", "cancel", system.keys.policy.address, system.contracts["Sentinel"].address, data)
    for account in (system.keys.agent, system.keys.steward, system.keys.notary, system.stranger):
        with reverts("AccessManagerUnauthorizedCancel", msgsender=account.address):
            system.send(account, *call)
        with reverts("AccessManagerUnauthorizedCall", caller=account.address):
            system.schedule(data, sender=account)
    system.send(system.keys.guardian, *call)
    system.wait(DAY_S)
    with reverts("AccessManagerNotScheduled"):
        system.send_raw(system.keys.policy, "Sentinel", data)
    assert system.call("Sentinel", "limitsInForce") == LIMITS


@pytest.mark.parametrize("limits", [(4, DAY_S, 1, 1, 1, 1), (2, 0, 1, 1, 1, 1)])
def test_limits_without_sense_are_refused(system, reverts, limits):
    with reverts("SentinelInvalidLimits"):
        system.run_scheduled(system.contracts["Sentinel"].encode("setLimits", limits))
    assert system.call("Sentinel", "limitsInForce") == LIMITS


def test_limits_lowered_and_raised_again_forget_nothing_that_was_used(system):
    # windows of 180 days, so that both changes fall into one
    wide = lambda grants: (2, 2**24 - 1, grants, 40, DAY_S, 7 * DAY_S)  # noqa: E731 - one shape, three values
    setting = system.contracts["Sentinel"].encode
    system.run_scheduled(setting("setLimits", wide(3)))
    window = system.now_s // (2**24 - 1)
    system.grant()
    system.grant()
    assert system.call("Sentinel", "budgetLeft")[0] == 1
    system.run_scheduled(setting("setLimits", wide(1)))
    assert system.call("Sentinel", "budgetLeft")[0] == 0
    refused = system.pending()
    system.decide(refused)
    assert system.status(refused) == "ESCALATED"
    system.run_scheduled(setting("setLimits", wide(3)))
    assert system.now_s // (2**24 - 1) == window
    assert system.call("Sentinel", "budgetLeft")[0] == 1


def test_use_of_a_window_that_is_over_does_not_burden_new_limits(system):
    system.grant()
    system.run_scheduled(system.contracts["Sentinel"].encode("setLimits", (2, 3_600, 5, 5, 5, DAY_S)))
    assert system.call("Sentinel", "budgetLeft") == (5, 5)
