"""Every validator executes every block on its own state; who gets to another one is noticed."""

from dataclasses import replace

from chainsec.network.measure import measure_variant
from chainsec.network.run import Played, play_scenario


def executors(stage):
    return [node.chain.executor for node in stage.nodes]


def break_executions(executor, state_root=bytes(32)):
    """Let an executor find another state than what comes of a block with transactions."""
    execute = executor._execute

    def wrong(plan, hashes):
        found = execute(plan, hashes)
        return replace(found, state_root=state_root) if found.transactions else found

    executor._execute = wrong


def test_each_validator_executes_each_block_for_itself(stage):
    found = stage(duration_s=10)
    found.run(10)
    assert len({id(executor) for executor in executors(found)}) == 4
    assert all(executor.executions >= found.network.agreement.height for executor in executors(found))
    roots = [[executed.state_root for executed in node.chain.executed[1:9]] for node in found.nodes]
    assert roots.count(roots[0]) == 4
    assert len(set(roots[0])) > 3
    assert found.network.agreement.violations == []


def test_with_a_shared_cache_each_block_is_executed_once_the_chain_is_the_same_and_the_report_says_so(small_network):
    own = small_network(duration_s=10)
    shared = small_network(duration_s=10, network={"is_execution_shared": True})
    first, second = (play_scenario(scenario) for scenario in (own, shared))
    assert first.network.trace.digest == second.network.trace.digest
    heads = [[block.header.encoded for block in each.network.nodes[2].chain.blocks] for each in (first, second)]
    assert heads[0] == heads[1]
    alone, together = (measure_variant("", each) for each in (first, second))
    assert (alone.is_execution_shared, together.is_execution_shared) == (False, True)
    assert together.height <= together.executions <= together.height + 2
    assert alone.executions >= 4 * alone.height


def test_a_validator_that_executes_wrongly_refuses_what_the_others_agree_on_and_says_why(stage):
    found = stage(duration_s=30)
    break_executions(found.nodes[3].chain.executor)
    found.run(30)
    assert found.reasons(3)["proposal: executed here, its state root is another"] >= 1
    honest = [node.chain.height for node in found.nodes[:3]]
    assert min(honest) > 10
    assert found.nodes[3].chain.height < 5, "it does not follow a chain that it cannot reproduce"
    assert any(reason.startswith("from a peer: block") for reason in found.reasons(3))
    assert found.network.agreement.violations == []
    report = measure_variant("", play_like(found))
    assert report.outcome == "stalled"
    assert "node-3" in report.said


def play_like(stage):
    return Played(stage.scenario, stage.network, stage.traffic)


def test_blocks_of_a_validator_that_executes_wrongly_are_refused_by_all_others(stage):
    found = stage(duration_s=30)
    wrong = found.nodes[1]
    break_executions(wrong.chain.executor)
    found.run(30)
    full = [final for final in found.network.agreement.finals[1:] if final.block.transactions]
    assert len(full) > 5
    assert wrong.address not in {final.block.header.coinbase for final in full}
    for node in (0, 2, 3):
        assert found.reasons(node).keys() <= {"proposal: executed here, its state root is another"}


def test_a_state_that_was_tampered_with_is_never_agreed_with_silently(stage):
    """One entry of node 2's database is lost after a while: it cannot execute any more what touches it."""
    found = stage(duration_s=30)
    found.run(6)
    node = found.nodes[2]
    executor = node.chain.executor
    account = found.traffic._senders[0].address
    state = executor.state_of(node.chain.head)
    state.set_balance(bytes(account), 10**18)
    state.persist()
    tampered = bytes(state.state_root)
    machine_of = executor.machine_of

    def on_other_state(header, hashes=()):
        is_next = header.state_root == node.chain.head.state_root
        return machine_of(replace(header, state_root=tampered) if is_next else header, hashes)

    executor.machine_of = on_other_state
    stands_at = node.chain.height
    found.run(20)
    assert found.reasons(2)["proposal: executed here, its state root is another"] >= 1
    assert node.chain.height <= stands_at + 1
    assert min(found.nodes[who].chain.height for who in (0, 1, 3)) > stands_at + 5
    assert found.network.agreement.violations == []


def test_if_all_execute_the_same_wrong_state_they_agree_and_one_honest_observer_does_not(stage):
    """A majority that changes the rules carries the network; who executes for itself sees it."""
    found = stage(nodes=5, duration_s=20, network={"validators": 4})
    for executor in executors(found)[:4]:
        break_executions(executor, state_root=found.nodes[0].chain.head.state_root)
    found.run(20)
    assert found.nodes[0].chain.height > 10
    assert found.nodes[4].chain.height < found.nodes[0].chain.height - 5
    assert any("executed here, its state root is another" in reason for reason in found.reasons(4))
