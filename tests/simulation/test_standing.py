"""What a grant was worth is the same whether it follows from events or the contract is asked, at every block."""

from itertools import product

import pytest

from chainsec.contexts import Admission, Contexts
from chainsec.primitives import Scope
from chainsec.scenarios.acts import Acts
from chainsec.scenarios.audit import open_evidence
from chainsec.scenarios.standing import Standing
from chainsec.services.access import Basis


@pytest.fixture
def evidence(finished):
    with open_evidence(finished) as found:
        yield found


def test_events_and_contract_agree_on_every_grant_at_every_block(evidence, monkeypatch):
    engine, contracts = evidence
    acts = Acts(engine, contracts)
    admission = Admission(Contexts(), has_clock=True, tolerance_s=1)
    acts.follow(admission)
    standing = acts.standing(admission)
    grants, asked = contracts["AccessGrants"], []
    call = grants.call
    monkeypatch.setattr(grants, "call", lambda *request, at: asked.append(at) or call(*request, at=at))
    bases = []
    for request, block in product(acts.requests.values(), range(9, acts.head + 1)):
        for scope in (Scope.READ, Scope.READ | Scope.EXPORT):
            found, _ = standing.basis(request, scope, block)
            key = (request.requester, request.asset, request.purpose)
            assert found == call("accessBasis", *key, int(scope), at=block)
            bases.append(found)
    agreed = bases.count(Basis.AGREED)
    assert {Basis.AGREED, Basis.NO_GRANT, Basis.QUARANTINED} <= set(bases)
    assert 0 < len(bases) - len(asked) <= agreed
    assert isinstance(standing, Standing)
