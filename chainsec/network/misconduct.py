"""Proof that a validator lied: two signed statements about one height and round that no honest one makes both.

Who doubts it recovers the signers from the statements themselves; nobody who brings a proof has to be believed.
Layer: network. Not here: what an alert is and what else is noticed (``defence.chainwatch``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from chainsec.defence.chainrules import find_alert_fault
from chainsec.network.extradata import SEAL_BYTES
from chainsec.network.header import Header
from chainsec.network.messages import Code, Message, Proposal, RoundChange, Signed, read_message, seal_author
from chainsec.network.rlpitems import as_bytes, as_list, decode_strictly, encode, encode_number, join

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chainsec.primitives import Address

__all__ = ["PROOFS", "Statement", "Witness", "find_proof_fault", "list_statements", "read_statement", "seal_statements"]

PROOFS = ("equivocation", "bad_seal")
"""Kinds of alert whose evidence is a proof."""
HEIGHTS_BEHIND, HEIGHTS_AHEAD = 16, 10
"""Statements about heights within these of the next block are kept."""
MOST_ROUNDS = 64
"""Rounds, and kinds of statement, of one validator at one height that are kept; the earliest go first."""
_SEAL = 0x00
"""Stands where a message has its code: the statement is a seal in a header, which says what a commit says."""


class Statement(NamedTuple):
    """What a validator has signed.

    Args:
        author: who.
        code: which kind of message says it; a seal says what a commit says.
        height, round: what it is about.
        content: what it says of that, as bytes: equal for statements that agree.
        source: where it stands: in a signed payload, or as a seal in a header.
    """

    author: Address
    code: Code
    height: int
    round: int
    content: bytes
    source: Signed[Any] | tuple[Header, bytes]

    @property
    def proof(self) -> bytes:
        """What was signed, with the signature: ``read_statement`` gives the statement back."""
        if isinstance(self.source, Signed):
            return bytes([self.code]) + Message(self.source).encoded
        header, seal = self.source
        return bytes([_SEAL]) + join([header.in_round(header.extra.round).encoded, encode(seal)])


def list_statements(message: Message) -> Iterator[Statement]:
    """Return what a message says, and what those have said whose votes justify it."""
    for signed in (message.signed, *message.round_changes, *message.prepares):
        if signed.author is not None:
            payload = signed.payload
            yield Statement(signed.author, payload.code, payload.height, payload.round, _content(payload), signed)


def _content(payload: Any) -> bytes:
    if isinstance(payload, Proposal):
        return bytes(payload.block.header.seal_hash)
    if not isinstance(payload, RoundChange):
        return bytes(payload.digest)
    prepared = payload.prepared
    return b"" if prepared is None else encode([encode_number(prepared.round), prepared.digest])


def seal_statements(header: Header) -> Iterator[Statement]:
    """Return what the seals of a header say: that each one's author commits to the block in its round."""
    for seal in header.extra.seals:
        author = seal_author(header.seal_hash, seal)
        if author is not None:
            content = bytes(header.seal_hash)
            yield Statement(author, Code.COMMIT, header.block_number, header.extra.round, content, (header, seal))


def read_statement(proof: bytes) -> Statement:
    """Return the statement behind the bytes of a proof, its author recovered from the signature.

    Raises:
        ValueError: they are no statement, or nobody can have signed it.
    """
    if not proof:
        raise ValueError("statement: is empty")
    if proof[0] == _SEAL:
        items, seal = as_list(decode_strictly(proof[1:], "seal"), 2, "seal")
        found = seal_statements(Header.from_items(items).sealed([as_bytes(seal, SEAL_BYTES, "seal")]))
    else:
        found = list_statements(Message(read_message(proof[0], proof[1:]).signed))
    for statement in found:
        return statement
    raise ValueError("statement: nobody can have signed it")


class Witness:
    """Remembers the first statement of each validator on each subject, and finds those that contradict it.

    Memory is bounded, whatever is said: a few heights, and for each validator a few rounds of each.
    """

    def __init__(self) -> None:
        self._said: dict[int, dict[Address, dict[tuple[Code, int], Statement]]] = {}

    def hear(self, statement: Statement, next_height: int) -> Statement | None:
        """Take a statement in; return an earlier one that it contradicts, or None.

        Args:
            statement: of a validator.
            next_height: of the block that is being agreed on.
        """
        if not next_height - HEIGHTS_BEHIND <= statement.height <= next_height + HEIGHTS_AHEAD:
            return None
        if statement.height not in self._said:
            for old in [height for height in self._said if height < next_height - HEIGHTS_BEHIND]:
                del self._said[old]
        said = self._said.setdefault(statement.height, {}).setdefault(statement.author, {})
        first = said.setdefault((statement.code, statement.round), statement)
        if len(said) > MOST_ROUNDS:
            del said[next(iter(said))]
        return None if first.content == statement.content else first


def find_proof_fault(receipt: Mapping[str, Any]) -> str | None:
    """Return why the receipt of an alert about a validator's lie proves nothing, or None; needs nothing but itself.

    Args:
        receipt: of kind ``equivocation`` or ``bad_seal``.
    """
    fault = find_alert_fault(receipt)
    if fault is not None:
        return fault
    inputs, subject = receipt["evidence"]["inputs"], receipt["requester"]
    try:
        first = read_statement(_bytes(inputs["first"]))
        if receipt["threat"] == "bad_seal":
            return _find_seal_fault(first, inputs["second"], subject)
        second = read_statement(_bytes(inputs["second"]))
    except (ValueError, TypeError, AttributeError) as error:
        return f"it holds no signed statement: {error}"
    if {str(first.author), str(second.author)} != {subject}:
        return "its statements are not both signed by its subject"
    if first[1:4] != second[1:4]:
        return "its statements are not about one thing"
    return "its statements do not contradict each other" if first.content == second.content else None


def _find_seal_fault(commit: Statement, stated: Any, subject: str) -> str | None:
    if str(commit.author) != subject or not (isinstance(commit.source, Signed) and commit.code == Code.COMMIT):
        return "it holds no commit that its subject has signed"
    seal = commit.source.payload.seal
    if "0x" + seal.hex() != stated:
        return "the seal is not the one in the commit"
    return "the seal is its author's own" if seal_author(commit.content, seal) == commit.author else None


def _bytes(text: str) -> bytes:
    if not text.startswith("0x"):
        raise ValueError("it does not begin with 0x")
    return bytes.fromhex(text[2:])
