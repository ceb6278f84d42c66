"""From nothing to a decision on chain: two organisations, one record, an agent that learned from a short history.

Run it: python scripts/decide_requests.py
"""

from chainsec import Hash32, Sandbox
from chainsec.defence.detectors import UseMonitor
from chainsec.defence.observation import Observation
from chainsec.defence.training import train_risk_model
from chainsec.digest import digest_json
from chainsec.services.access import Status

NURSE = {"role": "nurse", "ward": "cardiology"}
CLERK = {"role": "clerk", "ward": "billing"}


def past_requests() -> tuple[list[Observation], list[bool]]:
    """Return a month in which nurses were let in and a clerk who went through charts was not."""
    requests, denied = [], []
    start_s = 1_767_225_600 - 30 * 86_400
    for number in range(360):
        name, facts, bad = (("ann", NURSE, False), ("bob", NURSE, False), ("kim", CLERK, True))[number % 3]
        asset = f"chart-{number * 7 % 11}"
        requests.append(
            Observation(f"past-{number}", start_s + number * 7_200, name, asset, "read", "treatment", 2, facts)
        )
        denied.append(bad)
    return requests, denied


def main() -> None:
    """Deploy, ask, decide, use, withdraw."""
    model = train_risk_model(*past_requests())
    with Sandbox() as box:
        clinic = box.add_organisation("clinic")
        members = {name: box.add_member("clinic", name) for name in ("ann", "kim")}
        chart = box.add_asset("patient", b"the chart", sensitivity=2)
        box.give_consent("patient", chart, "clinic", "treatment")
        agent = box.start_agent(model, UseMonitor())

        for name, facts in (("ann", NURSE), ("kim", CLERK)):
            request = box.request(name, chart, "treatment", attributes=facts)
            [receipt] = agent.step()
            status = box.deployment.access.status_of(request.id)
            print(
                f"{name}: risk {receipt['score']:.3f}, agent says {receipt['verdict']}, on chain {status.name.lower()}"
            )
            print(f"  {'; '.join(words for _, _, words in receipt['reasons'][:3])}")

            if status is Status.ESCALATED:
                answer = Hash32(digest_json({"kind": "approve", "request": str(request.id)}))
                box.deployment.sentinel.approve(box.keys.guardian, request, answer)
                box.client.settle()
                print("  a guardian approves")

        access, purpose = box.deployment.access, request.purpose
        print("ann may read:", access.has_access(members["ann"].address, chart, purpose))
        box.withdraw_consent("patient", chart, "clinic", "treatment")
        print("after the patient withdrew consent:", access.has_access(members["ann"].address, chart, purpose))
        print("the clinic is", box.deployment.identity.did(clinic.address))


if __name__ == "__main__":
    main()
