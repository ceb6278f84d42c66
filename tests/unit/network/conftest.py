"""Validators with keys at the height after a genesis, and the shortest way to their blocks, votes and messages."""

from dataclasses import replace

import pytest

from chainsec.ledger.account import Account
from chainsec.network.extradata import ExtraData
from chainsec.network.header import EMPTY_TRIE_ROOT, Block, Header
from chainsec.network.justification import Height
from chainsec.network.messages import Commit, Message, Prepare, Prepared, Proposal, RoundChange, sign, sign_seal
from chainsec.primitives import Address

GENESIS_S = 1_800_000_000
PERIOD_S = 2


class Team:
    """Validators by number, in the order of their addresses; number 0 proposes in round 0 of height 1."""

    def __init__(self, size=4, seed=b"tests/network"):
        self.accounts = sorted((Account.derive(seed, str(n)) for n in range(size)), key=lambda one: one.address)
        self.addresses = tuple(account.address for account in self.accounts)
        self.genesis = Header(
            parent_hash=bytes(32),
            coinbase=Address(bytes(20)),
            state_root=EMPTY_TRIE_ROOT,
            block_number=0,
            gas_limit=30_000_000,
            timestamp=GENESIS_S,
            extra_data=ExtraData(self.addresses).encode(),
            parent_beacon_block_root=bytes(32),
        )
        self.height = Height(1, self.addresses, self.genesis.coinbase)

    def header(self, round_=0, proposer=0, **changes):
        made = Header(
            parent_hash=self.genesis.hash,
            coinbase=self.addresses[proposer],
            state_root=EMPTY_TRIE_ROOT,
            block_number=1,
            gas_limit=30_000_000,
            timestamp=GENESIS_S + PERIOD_S,
            extra_data=ExtraData(self.addresses, round=round_).encode(),
        )
        return replace(made, **changes)

    def block(self, round_=0, proposer=0, **changes):
        return Block(self.header(round_, proposer, **changes))

    def prepare(self, who, round_, digest, height=1):
        return sign(self.accounts[who], Prepare(height, round_, digest))

    def prepares(self, block, whose, round_=None):
        digest = block.header.seal_hash
        return tuple(self.prepare(who, block.header.extra.round if round_ is None else round_, digest) for who in whose)

    def commit(self, who, round_, digest, height=1, seal=None):
        seal = seal or sign_seal(self.accounts[who], digest)
        return sign(self.accounts[who], Commit(height, round_, seal, digest))

    def round_change(self, who, round_, block=None, prepared_by=(), height=1):
        prepared = None if block is None else Prepared(block.header.extra.round, block.header.seal_hash)
        signed = sign(self.accounts[who], RoundChange(height, round_, prepared))
        prepares = () if block is None else self.prepares(block, prepared_by)
        return Message(signed, block=block, prepares=prepares)

    def proposal(self, who, round_, block, round_changes=(), prepares=(), *, height=1):
        signed = sign(self.accounts[who], Proposal(height, round_, block))
        inner = tuple(getattr(each, "signed", each) for each in round_changes)
        return Message(signed, round_changes=inner, prepares=tuple(prepares))

    def seals(self, header, whose):
        return [sign_seal(self.accounts[who], header.seal_hash) for who in whose]


@pytest.fixture(scope="session")
def team_class():
    return Team


@pytest.fixture(scope="session")
def team():
    return Team()


@pytest.fixture(scope="session")
def stranger():
    return Account.derive(b"tests/network", "stranger")
