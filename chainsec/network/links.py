"""How long bytes take from one node to another: a matrix of regions, and one connection's state over time.

A connection is TCP, as devp2p's are: in order, nothing lost but time. A packet that is lost is sent again after a
retransmission timeout, and what was sent later waits behind it; all of that ends with the connection. Layer: network.
Not here: who is connected to whom (``simulation``), when links change (``faults``), messages.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from chainsec.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from random import Random

__all__ = ["Connection", "Link", "Matrix", "load_matrix"]

_COLUMNS = ("from", "to", "latency_ms", "jitter_ms", "bandwidth_mbps", "loss_rate")
_MOST_BYTES = 10_000_000
_PACKET_BYTES = 1_448
_LEAST_TIMEOUT_US = 200_000
"""Least retransmission timeout of Linux; RFC 6298 asks for a second."""
_MOST_TIMEOUT_US = 120_000_000
"""TCP_RTO_MAX of Linux: the timeout doubles up to two minutes."""
_MOST_TRIES = 15
MOST_MS = 60_000
LEAST_MBPS, MOST_MBPS = 0.001, 1_000_000
_MS_US = 1_000


@dataclass(frozen=True)
class Link:
    """One direction between two regions.

    Args:
        latency_ms: one way, from 0 to 60,000: the least that a message takes.
        jitter_ms: mean of what is added to it, from 0 to 60,000. Added is ``4 * jitter_ms * u * v``, u and v drawn
            evenly from 0 to 1: up to four times the mean, half of the time under 0.747 of it. Half of all messages
            take longer than ``latency_ms + 0.747 * jitter_ms``, and so a latency that was measured as a median (those
            of ``wan`` are) comes out higher by that much.
        bandwidth_mbps: megabits a second, from 0.001 to 1,000,000.
        loss_rate: share of packets that are lost, from 0 to under 1.

    Raises:
        ValueError: a figure is out of range; says which.
    """

    latency_ms: float
    jitter_ms: float = 0.0
    bandwidth_mbps: float = 1_000.0
    loss_rate: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, is_right, wanted in (
            ("latency_ms", 0 <= self.latency_ms <= MOST_MS, f"from 0 to {MOST_MS}"),
            ("jitter_ms", 0 <= self.jitter_ms <= MOST_MS, f"from 0 to {MOST_MS}"),
            ("bandwidth_mbps", LEAST_MBPS <= self.bandwidth_mbps <= MOST_MBPS, f"from {LEAST_MBPS} to {MOST_MBPS}"),
            ("loss_rate", 0 <= self.loss_rate < 1, "from 0 to under 1"),
        ):
            if not is_right:
                raise ValueError(f"{name} is {getattr(self, name)}, not {wanted}")


class Connection:
    """One direction of a connection: when what is sent now arrives.

    Args:
        link: its figures; may be exchanged on the way.
        random: decides jitter and loss of this direction alone.

    ``later`` tells what its figures will be, and from when on, in the order of time: what is still on the wire then
    goes on at the new rate, and what is sent once more is lost at the new rate.

    >>> from random import Random
    >>> wire = Connection(Link(latency_ms=10, bandwidth_mbps=8), Random(1))
    >>> wire.arrival_us(0, 1_000), wire.arrival_us(0, 1_000)  # a millisecond each on the wire, one after the other
    (11000, 12000)
    """

    def __init__(self, link: Link, random: Random) -> None:
        self._random = random.random
        self._epoch = 0
        self._free_us = 0
        self._last_us = 0
        self.later: Sequence[tuple[int, Link]] = ()
        self.link = link

    @property
    def link(self) -> Link:
        """Its figures."""
        return self._link

    @link.setter
    def link(self, link: Link) -> None:
        self._link = link
        self._latency_us = round(link.latency_ms * _MS_US)
        self._spread_us = 4 * link.jitter_ms * _MS_US
        self._bytes_per_us = link.bandwidth_mbps / 8
        self._timeout_us = min(max(_LEAST_TIMEOUT_US, 4 * self._latency_us), _MOST_TIMEOUT_US)

    @property
    def latency_us(self) -> int:
        """One way, without jitter."""
        return self._latency_us

    def arrival_us(self, sent_us: int, size_bytes: int, epoch: int = 0) -> int:
        """Return when the last byte of a message arrives, in the time that ``sent_us`` is counted in.

        Only additions and multiplications decide, so that every machine gets the same.

        Args:
            sent_us: when it is handed over.
            size_bytes: its length.
            epoch: how often the connection was made anew: nothing waits behind what an earlier one had to carry.
        """
        if epoch != self._epoch:
            self._epoch, self._free_us, self._last_us = epoch, 0, 0
        self._free_us = self._carried_us(max(self._free_us, sent_us), size_bytes)
        arrival_us = self._free_us + self._latency_us
        if self._spread_us:
            arrival_us += int(self._spread_us * self._random() * self._random())
        if self._link.loss_rate:
            arrival_us += self._lost_us(self._free_us, size_bytes)
        self._last_us = max(self._last_us, arrival_us)
        return self._last_us

    def _carried_us(self, start_us: int, size_bytes: float) -> int:
        """Return when the last byte of a message has left, at the rates that hold until then."""
        rate = self._bytes_per_us
        for from_us, link in self.later:
            passed_us = max(0, from_us - start_us)
            if passed_us * rate >= size_bytes:
                break
            size_bytes -= passed_us * rate
            start_us, rate = start_us + passed_us, link.bandwidth_mbps / 8
        return start_us + int(size_bytes / rate)

    def _lost_us(self, sent_us: int, size_bytes: int) -> int:
        """Return how much later the last packet to get through does so, each try at the loss of its time."""
        packets = -(-size_bytes // _PACKET_BYTES)
        lost_us, timeout_us = 0, self._timeout_us
        for _ in range(_MOST_TRIES):
            if self._random() >= packets * self._loss_rate(sent_us + lost_us):
                break
            lost_us, timeout_us, packets = lost_us + timeout_us, min(2 * timeout_us, _MOST_TIMEOUT_US), 1
        return lost_us

    def _loss_rate(self, time_us: int) -> float:
        rate = self._link.loss_rate
        for from_us, link in self.later:
            if from_us > time_us:
                break
            rate = link.loss_rate
        return rate


class Matrix:
    """Links between regions.

    Args:
        links: by the region that sends and the one that receives.
    """

    def __init__(self, links: dict[tuple[str, str], Link]) -> None:
        self.links = links
        self.regions = tuple(dict.fromkeys(sender for sender, _ in links))

    def link(self, sender: str, receiver: str) -> Link:
        """Return the link from one region to another. Raises: KeyError: there is none."""
        return self.links[sender, receiver]

    def require(self, regions: Iterable[str], name: str) -> None:
        """Check that every two regions have a link both ways.

        Raises:
            BadInput: names the region, or the pair, that is missing.
        """
        wanted = list(dict.fromkeys(regions))
        for region in wanted:
            if region not in self.regions:
                raise BadInput(f"{name}: no region {region!r}; known: {', '.join(self.regions)}", region=region)
        for sender in wanted:
            for receiver in wanted:
                if (sender, receiver) not in self.links:
                    raise BadInput(f"{name}: no link from {sender!r} to {receiver!r}", region=sender)


def load_matrix(name: str, folder: Path | None = None) -> Matrix:
    """Return a matrix that ships with the package, or one from a CSV file.

    Args:
        name: ``wan`` or ``lan``, or the path of a CSV file with the columns from, to, latency_ms, jitter_ms,
            bandwidth_mbps and loss_rate.
        folder: that a relative path starts from.

    Raises:
        BadInput: no such file, or names line and column of what is wrong in it.

    >>> load_matrix("lan").link("site", "site").latency_ms
    0.25
    """
    matrices = {each.name: each for each in (files("chainsec.network") / "matrices").iterdir()}
    if f"{name}.csv" in matrices:
        return _read(matrices[f"{name}.csv"].read_text(encoding="utf-8"), name)
    path = Path(name) if folder is None else folder / name
    try:
        text = _text_of(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: is no matrix of regions that can be read: {error}", path=str(path)) from error
    return _read(text, str(path))


def _number(column: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"{column}: {text!r} is no number") from error


def _text_of(path: Path) -> str:
    size_bytes = path.stat().st_size
    if not path.is_file() or size_bytes > _MOST_BYTES:  # a device has no end
        raise ValueError(f"no file of at most {_MOST_BYTES:,} bytes")
    return path.read_text(encoding="utf-8-sig")  # spreadsheets put a byte order mark first


def _read(text: str, name: str) -> Matrix:
    reader = csv.reader(text.splitlines())
    try:
        rows = [(line, row) for line, row in enumerate(reader, 1) if row and row[0][:1] != "#"]
    except csv.Error as error:
        raise BadInput(f"{name}: row {reader.line_num}: {error}", line=reader.line_num) from error
    header = tuple(rows[0][1]) if rows else ()
    if header != _COLUMNS:
        raise BadInput(f"{name}: has the columns {', '.join(header) or 'of nothing'}; needs {', '.join(_COLUMNS)}")
    links = {}
    for line, row in rows[1:]:
        if len(row) != len(_COLUMNS):
            raise BadInput(f"{name}: row {line}: {len(row)} columns, not {len(_COLUMNS)}", line=line)
        sender, receiver, *figures = row
        try:
            link = Link(*map(_number, _COLUMNS[2:], figures))
        except ValueError as error:
            raise BadInput(f"{name}: row {line}: {error}", line=line) from error
        if (sender, receiver) in links:
            raise BadInput(f"{name}: row {line}: a second link from {sender!r} to {receiver!r}", line=line)
        links[sender, receiver] = link
    if not links:
        raise BadInput(f"{name}: holds no links")
    return Matrix(links)
