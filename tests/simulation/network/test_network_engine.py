"""An engine on a network: the same contracts and answers as on one chain, with times that the network gives."""

import pytest

from chainsec.config import Config
from chainsec.contexts import observed_fields
from chainsec.errors import LedgerError
from chainsec.ledger.account import Account
from chainsec.ledger.evm import Genesis
from chainsec.network.blockrules import check_header, check_seals
from chainsec.network.engine import NetworkEngine
from chainsec.network.links import load_matrix
from chainsec.network.simulation import NetworkPlan
from chainsec.network.validator import QbftSettings
