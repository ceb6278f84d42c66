"""Who deals with whom, how lately, and from where: signals that need the company a request keeps, not its facets alone.

A subject is whom an asset is about (a patient with several records); a team is what a requester always belongs to.
Needs no labels. Layer: defence, above ``features``. Not here: habits facet by facet (``behaviour``), what a signal is
worth (``novelty``, ``logistic``).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chainsec.defence.features import DAY_S, HOUR_S, FacetPlan
from chainsec.defence.profiles import Profile
from chainsec.defence.window import Step, StepWindow

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Mapping, Sequence

    from chainsec.defence.observation import Observation

_WINDOWS_S = {"hour": HOUR_S, "day": DAY_S, "week": 7 * DAY_S}
_CONTACT_S = 5 * DAY_S  # half-life of an acquaintance
_TEAM_RATE = 0.8  # how much better than chance a requester's usual value must tell a facet of belonging
_LEAST_PLACES = 8
_MOST_VALUES = 12  # facets with more values are names, and names have no profile
_FAINT = 0.05  # contacts decayed below this are forgotten company
_PEER_FACET = "@role"
_PROFILE, _NO_PROFILE = "profile", Profile()
_FINEST = 1e-4  # bits; whole numbers of it add up to the same sum in any order


@dataclass(frozen=True)
class TiePlan:
    """Which facets say whom a request is about, whom its requester belongs to, where it comes from, and what fits.

    Args:
        subject: position of the facet that names the subject; that of the asset where none is coarser.
        team: positions of the facets that a requester keeps.
        places: positions of the facets that name a device or an address.
        profile: positions of the facets whose combinations are checked, given the peer group.
        peer: position of the peer group, -1 without one.
    """

    subject: int
    team: tuple[int, ...]
    places: tuple[int, ...]
    profile: tuple[int, ...]
    peer: int

    def to_json(self) -> list[Any]:
        """Return the plan as JSON values."""
        return [self.subject, list(self.team), list(self.places), list(self.profile), self.peer]

    @classmethod
    def from_json(cls, value: Sequence[Any]) -> TiePlan:
        """Return the plan that ``to_json`` wrote."""
        return cls(value[0], tuple(value[1]), tuple(value[2]), tuple(value[3]), value[4])


def plan_ties(plan: FacetPlan, rows: Sequence[Sequence[str]]) -> TiePlan:
    """Find subjects, teams, places and profiles in the facet values of a history.

    Args:
        plan: names the facets.
        rows: facet values, one row a request, shape (n_requests, n_facets).

    >>> plan = FacetPlan(("requester", "asset", "@patient", "@ward"), ())
    >>> rows = [[f"p{i % 8}", f"r{i % 12}", f"s{i % 6}", f"w{i % 8 // 4}"] for i in range(96)]
    >>> found = plan_ties(plan, rows)
    >>> plan.facets[found.subject], [plan.facets[i] for i in found.team]
    ('@patient', ['@ward'])
    """
    columns = [[row[i] for row in rows] for i in range(len(plan.facets))]
    sizes = [len(set(column)) for column in columns]
    others = range(2, len(plan.facets))
    of_asset = {i for i in others if len(set(zip(columns[1], columns[i], strict=True))) == sizes[1]}
    coarser = [i for i in of_asset if max(_LEAST_PLACES // 2, sizes[1] // 10) <= sizes[i] < sizes[1]]
    subject = max(coarser, key=lambda i: (sizes[i], -i), default=1)
    free = [i for i in others if i not in of_asset and sizes[i] > 1]
    team = tuple(i for i in free if sizes[i] < sizes[0] and _belonging(columns[0], columns[i]) >= _TEAM_RATE)
    named = [i for i in free if plan.facets[i].startswith("@") and i not in team]
    places = tuple(i for i in named if sizes[i] >= max(_LEAST_PLACES, sizes[0] // 4))[:2]
    peer = plan.facets.index(_PEER_FACET) if _PEER_FACET in plan.facets else -1
    profile = tuple(
        i
        for i in others
        if 1 < sizes[i] <= _MOST_VALUES and i not in team and plan.facets[i] not in {"clock", "week", "sensitivity"}
    )
    return TiePlan(subject, team, places, profile, peer)


def _belonging(requesters: Sequence[str], column: Sequence[str]) -> float:
    """Return how much better a requester's usual value tells the column than the commonest value does, at most 1."""
    by_pair = Counter(zip(requesters, column, strict=True))
    usual: dict[str, int] = {}
    for (requester, _), count in by_pair.items():
        usual[requester] = max(usual.get(requester, 0), count)
    common = max(Counter(column).values()) / len(column)
    told = sum(usual.values()) / len(column)
    return (told - common) / (1.0 - common) if common < 1.0 else 0.0


class _Path:
    """What one requester did lately: last request and place, and the steps of the last hour, day and week."""

    __slots__ = ("last_s", "places", "team", "windows")

    def __init__(self) -> None:
        self.last_s = 0
        self.places: list[str] = []
        self.team: list[str] = []
        self.windows = {name: StepWindow(length_s) for name, length_s in _WINDOWS_S.items()}

    def add(self, step: Step) -> None:
        """Take a step in."""
        for window in self.windows.values():
            window.add(step)

    @property
    def steps(self) -> deque[Step]:
        """The steps of the longest window."""
        return self.windows["week"].steps


class Acquaintance:
    """Remembers contacts. ``measure`` changes nothing, ``observe`` lets a request in.

    Args:
        plan: what the facets mean.
        facets: the facets' names.
    """

    def __init__(self, plan: TiePlan, facets: Sequence[str]) -> None:
        self.plan = plan
        self._facets = tuple(facets)
        self._action_at = self._facets.index("action") if "action" in self._facets else 0
        self._reach_names = [
            (window, *(f"{what}:{window}" for what in ("breadth", "new", "stranger", "unusual")))
            for window in _WINDOWS_S
        ]
        self._fit_names = [f"fit:{self._facets[i]}" for i in plan.profile]
        self._fact_heads = [(i, f"{i}=") for i in plan.profile]
        self._contacts: dict[str, dict[str, list[float]]] = {}  # requester -> subject -> weight, time
        self._visitors: dict[str, dict[str, list[float]]] = {}  # subject -> requester -> weight, time
        self._paths: dict[str, _Path] = {}
        self._counts: dict[str, int] = {}
        self._profiles: defaultdict[str, Profile] = defaultdict(Profile)  # by peer group
        self._lengths: dict[str, float] = {}
        self._measured: tuple[Observation, float] | None = None

    @property
    def signal_names(self) -> tuple[str, ...]:
        """The names of all measurements, in the order of ``measure``."""
        windows = [name for _, *names in self._reach_names for name in names]
        places = [f"{what}:{self._facets[i]}" for i in self.plan.places for what in ("own", "shared", "switch")]
        return ("tie:own", "tie:team", "tie:share", "tie:company", *windows, *places, *self._fit_names)

    def measure(self, observation: Observation, values: Sequence[str]) -> dict[str, float]:
        """Return the raw measurements; high = unusual."""
        now_s, requester, subject = observation.time_s, values[0], values[self.plan.subject]
        own = self._contacts.get(requester, {})
        mine = _fade(own[subject], now_s) if subject in own else 0.0
        team, everybody, company = self._company(now_s, values, own)
        self._measured = (observation, team)
        found = {
            "tie:own": -math.log2(0.2 + mine),
            "tie:team": -math.log2(0.3 + team),
            "tie:share": -math.log2((team + 0.3) / (everybody + 1.0)),
            "tie:company": -math.log2(0.02 + company),
        }
        path = self._paths.get(requester)
        is_new = subject not in own
        found.update(self._reach(path, values, now_s, is_new=is_new, is_stranger=is_new and team < _FAINT))
        for position in self.plan.places:
            found.update(self._place(path, position, values, now_s))
        found.update(self._fit(values))
        return found

    def _company(self, now_s: int, values: Sequence[str], own: Mapping[str, list[float]]) -> tuple[float, float, float]:
        """Return how much the team, and anybody else, lately saw the subject, and how alike their contacts are."""
        team = everybody = company = 0.0
        my_length = self._length(values[0])
        my_team = [values[i] for i in self.plan.team]
        for other, contact in self._visitors.get(values[self.plan.subject], {}).items():
            weight = _fade(contact, now_s)
            if other == values[0] or weight < _FAINT:
                continue
            everybody += weight
            if self._paths[other].team == my_team:
                team += weight
            theirs = self._contacts[other]
            shared = math.fsum([own[name][0] * theirs[name][0] for name in own.keys() & theirs.keys()])
            if shared:
                company += weight * shared / (my_length * self._length(other))
        return team, everybody, company

    def _length(self, requester: str) -> float:
        """Return 1 more than the length of the vector of a requester's contacts."""
        found = self._lengths.get(requester)
        if found is None:
            contacts = self._contacts.get(requester, {})
            found = 1.0 + math.sqrt(math.fsum(weight * weight for weight, _ in contacts.values()))
            self._lengths[requester] = found
        return found

    def _team(self, observation: Observation, values: Sequence[str], own: Mapping[str, list[float]]) -> float:
        """Return how much the team lately saw the subject; what was just measured is not measured again."""
        if self._measured is not None and self._measured[0] is observation:
            return self._measured[1]
        return self._company(observation.time_s, values, own)[0]

    def _reach(
        self, path: _Path | None, values: Sequence[str], now_s: int, *, is_new: bool, is_stranger: bool
    ) -> dict[str, float]:
        """Return how many subjects, new ones, strangers and unusual actions the last hour, day and week hold."""
        own_oddity, subject = self._oddity(values), values[self.plan.subject]
        # who asks with an earlier time than before is taken to ask right after
        at_s = max(now_s, path.last_s) if path else now_s
        found = {}
        for window, breadth_name, new_name, stranger_name, unusual_name in self._reach_names:
            subjects, new, strangers, oddity = path.windows[window].sums(at_s, subject) if path else (1, 0, 0, 0)
            found[breadth_name] = math.log2(subjects)
            found[new_name] = math.log2(1.0 + new + is_new)
            found[stranger_name] = math.log2(1.0 + strangers + is_stranger)
            found[unusual_name] = math.log2(1.0 + own_oddity + oddity * _FINEST)
        return found

    def _oddity(self, values: Sequence[str]) -> float:
        """Return the improbability in bits, beyond the first, of the action among peers for this purpose."""
        peer = self._peer(values)
        counts, action = self._counts, values[self._action_at]
        seen = counts.get(f"act\x1f{peer}\x1f{action}", 0)
        bits = -math.log2((seen + 0.3) / (counts.get(f"act\x1f{peer}", 0) + 1.0))
        return min(max(bits - 1.0, 0.0), 8.0)

    def _place(self, path: _Path | None, position: int, values: Sequence[str], now_s: int) -> dict[str, float]:
        name, place, counts = self._facets[position], values[position], self._counts
        mine = f"who\x1f{values[0]}\x1f{name}"
        own, total = counts.get(f"{mine}\x1f{place}", 0), counts.get(mine, 0)
        team = "\x1f".join(values[i] for i in self.plan.team)
        by_team = counts.get(f"team\x1f{team}\x1f{name}\x1f{place}", 0)
        by_all = counts.get(f"all\x1f{name}\x1f{place}", 0)
        switch = 0.0
        if path is not None and path.places[self.plan.places.index(position)] != place:
            switch = math.exp2(-max(now_s - path.last_s, 0) / HOUR_S)
        return {
            f"own:{name}": -math.log2((own + 0.3) / (total + 1.0)),
            f"shared:{name}": -math.log2((by_team + 0.3) / (by_all + 1.0)),
            f"switch:{name}": switch,
        }

    def _facts(self, values: Sequence[str]) -> list[str]:
        return [head + values[i] for i, head in self._fact_heads]

    def _peer(self, values: Sequence[str]) -> str:
        return values[self.plan.peer] if self.plan.peer >= 0 else ""

    def _fit(self, values: Sequence[str]) -> dict[str, float]:
        """Return, for each facet of the profile, its mean improbability in bits given each other facet, among peers."""
        found = self._profiles.get(self._peer(values), _NO_PROFILE).fit(self._facts(values))
        return dict(zip(self._fit_names, found, strict=True))

    def observe(self, observation: Observation, values: Sequence[str]) -> None:
        """Let one request into the memory of contacts, places and profiles."""
        now_s, requester, subject = observation.time_s, values[0], values[self.plan.subject]
        own = self._contacts.setdefault(requester, {})
        is_new = subject not in own
        is_stranger = is_new and self._team(observation, values, own) < _FAINT
        self._measured = None
        self._lengths.pop(requester, None)
        for table, key in ((own, subject), (self._visitors.setdefault(subject, {}), requester)):
            contact = table.setdefault(key, [0.0, now_s])
            contact[0], contact[1] = _fade(contact, now_s) + 1.0, max(now_s, contact[1])
        path = self._paths.setdefault(requester, _Path())
        path.last_s = max(now_s, path.last_s)
        path.places = [values[i] for i in self.plan.places]
        path.team = [values[i] for i in self.plan.team]
        path.add(Step(path.last_s, subject, is_new, is_stranger, round(self._oddity(values) / _FINEST)))
        self._count(values)

    def _count(self, values: Sequence[str]) -> None:
        peer = self._peer(values)
        keys = [f"act\x1f{peer}", f"act\x1f{peer}\x1f{values[self._action_at]}"]
        team = "\x1f".join(values[i] for i in self.plan.team)
        for position in self.plan.places:
            name, place = self._facets[position], values[position]
            keys += [f"who\x1f{values[0]}\x1f{name}\x1f{place}", f"who\x1f{values[0]}\x1f{name}"]
            keys += [f"team\x1f{team}\x1f{name}\x1f{place}", f"all\x1f{name}\x1f{place}"]
        for key in keys:
            self._counts[key] = self._counts.get(key, 0) + 1
        self._profiles[peer].count(self._facts(values))

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        counts = dict(self._counts)
        for peer, profile in self._profiles.items():
            counts |= {"\x1f".join((_PROFILE, peer, *facts)): count for facts, count in profile.counts()}
        return {
            "contacts": self._contacts,
            "counts": counts,
            "paths": {name: _describe(path) for name, path in self._paths.items()},
            "visitors": self._visitors,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], plan: TiePlan, facets: Sequence[str]) -> Acquaintance:
        """Return the memory that ``to_json`` wrote; later changes do not reach ``value``."""
        memory = cls(plan, facets)
        for name, table in (("contacts", memory._contacts), ("visitors", memory._visitors)):
            for key, row in value[name].items():
                table[key] = {other: list(pair) for other, pair in row.items()}
        for key, count in value["counts"].items():
            kind, *parts = key.split("\x1f")
            if kind == _PROFILE:
                memory._profiles[parts[0]].put(parts[1:], count)
            else:
                memory._counts[key] = count
        for name, (last_s, places, team, steps) in value["paths"].items():
            path = memory._paths[name] = _Path()
            path.last_s, path.places, path.team = last_s, list(places), list(team)
            for step in steps:
                path.add(Step(*step))
        return memory


def _describe(path: _Path) -> list[Any]:
    return [path.last_s, path.places, path.team, [list(step) for step in path.steps]]


def _fade(contact: Sequence[float], now_s: int) -> float:
    return contact[0] * math.exp2(-max(now_s - contact[1], 0) / _CONTACT_S)
