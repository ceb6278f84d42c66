"""What is written down of a deployment, and how it is found again on a node: addresses, never keys.

Layer: attached. Not here: what is deployed (``deployment``), keys (``keyring``).
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, ValidationError

from chainsec.config import Limits, Positive, Settings, first_problem
from chainsec.deployment import Deployment, Keys, deploy
from chainsec.digest import parse_json
from chainsec.errors import BadInput, ConfigError, LedgerError, RunMismatch
from chainsec.journal import write_atomically
from chainsec.ledger.artifact import load_artifact
from chainsec.ledger.client import Client
from chainsec.primitives import Address, Hash32
from chainsec.services.access import Access
from chainsec.services.assets import Assets
from chainsec.services.audit import Audit
from chainsec.services.authority import Authority
from chainsec.services.consent import Consent
from chainsec.services.identity import Identity
from chainsec.services.sentinel import Sentinel

if TYPE_CHECKING:
    from pathlib import Path

    from chainsec.config import ChainSettings
    from chainsec.ledger.contract import Contract
    from chainsec.ledger.engine import Engine

__all__ = ["DeploymentRecord", "attach_deployment", "deploy_contracts", "read_record", "write_record"]

_CONTRACTS = (
    "Authority",
    "DidRegistry",
    "AssetRegistry",
    "ConsentLedger",
    "AccessGrants",
    "Sentinel",
    "AuditTrail",
)


def _require_address(text: str) -> str:
    return str(Address(text))


def _require_hash(text: str) -> str:
    return str(Hash32(text))


AddressText = Annotated[str, AfterValidator(_require_address)]


class DeploymentRecord(Settings):
    """Where a deployment stands.

    Attributes:
        format: of this record.
        chain_id: EIP-155 identifier.
        first_block: hash of block 0: which of the chains with that identifier it is.
        block: number of a block by which everything stood.
        contracts: address by name in ``contracts/``.
        roles: who got which role at first.
    """

    format: Literal[1] = 1
    chain_id: Positive
    first_block: Annotated[str, AfterValidator(_require_hash)]
    block: Positive
    contracts: dict[str, AddressText]
    roles: dict[str, AddressText]

    def require_chain(self, engine: Engine) -> None:
        """Refuse a node with another chain.

        Raises:
            ConfigError: names both chains.
        """
        if engine.chain_id != self.chain_id:
            raise ConfigError(
                f"the deployment is on chain {self.chain_id}, the node has chain {engine.chain_id}",
                chain_id=engine.chain_id,
            )
        first = str(engine.block(0).hash)
        if first != self.first_block:
            raise ConfigError(
                f"the deployment is on the chain that begins with {self.first_block}, the node's begins with {first}"
            )


def read_record(path: Path) -> DeploymentRecord:
    """Return the record in a file.

    Raises:
        BadInput: there is none, or it is no record; names what is wrong.
    """
    try:
        record = DeploymentRecord.model_validate(parse_json(path.read_bytes()))
    except ValidationError as error:
        raise BadInput(f"{path}: {first_problem(error)}", path=str(path)) from error
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such deployment", path=str(path)) from None
    except ValueError as error:
        raise BadInput(f"{path}: is no record of a deployment: {error}", path=str(path)) from error
    missing = sorted({*_CONTRACTS} - record.contracts.keys())
    if missing:
        raise BadInput(f"{path}: names no {missing[0]}", path=str(path))
    return record


def require_writable(path: Path) -> None:
    """Refuse a place where no record can be written, before anything is sent. Raises: BadInput."""
    folder = path.absolute().parent
    if path.is_dir():
        raise BadInput(f"{path}: is a directory; --out names a file", path=str(path))
    if not folder.is_dir():
        raise BadInput(f"{path}: the folder it belongs into does not exist", path=str(path))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadInput(f"{path}: nothing can be written into its folder", path=str(path))


def write_record(path: Path, record: DeploymentRecord) -> None:
    """Write a record, whole or not at all."""
    write_atomically(path, json.dumps(record.model_dump(mode="json"), indent=2).encode() + b"\n")


def deploy_contracts(engine: Engine, keys: Keys, limits: Limits, chain: ChainSettings, path: Path) -> DeploymentRecord:
    """Deploy every contract, or find what stands of an earlier attempt with the same keys, and write the record.

    Deploying the same again sends nothing: transactions are counted from the administrator's first, so that each
    is found where it stands.

    Args:
        engine: the chain; only its network makes blocks.
        keys: who gets which role; the administrator's account is used for nothing else before.
        limits: what the Sentinel lets the agent do.
        chain: how much gas a transaction may take.
        path: where the record goes.

    Raises:
        RunMismatch: the file holds another deployment, or the administrator has sent something else before.
        ConfigError: blocks hold less gas than a transaction may take.
        LedgerError: the node refuses, or does not mine.
    """
    roles = {role: str(getattr(keys, role).address) for role in Keys.__dataclass_fields__}
    first = str(engine.block(0).hash)
    if path.exists():
        found = read_record(path)
        if (found.chain_id, found.first_block, found.roles) != (engine.chain_id, first, roles):
            raise RunMismatch(f"{path}: holds another deployment; choose another file", path=str(path))
    if engine.block_gas_limit < chain.transaction_gas:
        raise ConfigError(
            f"chain.transaction_gas is {chain.transaction_gas}, over the {engine.block_gas_limit} gas that a block of "
            "this node holds"
        )
    client = Client(engine, transaction_gas=chain.transaction_gas, is_replay=True)
    deployment = deploy(client, keys, limits)
    record = DeploymentRecord(
        chain_id=engine.chain_id,
        first_block=first,
        block=client.at,
        contracts={name: str(address) for name, address in deployment.addresses().items()},
        roles=roles,
    )
    write_record(path, record)
    return record


def attach_deployment(client: Client, record: DeploymentRecord) -> Deployment:
    """Return the services of a deployment that stands on a node.

    Raises:
        ConfigError: the node has another chain.
        LedgerError: where a contract should stand there is none, or another one.
    """
    record.require_chain(client.engine)

    def bind(name: str) -> Contract:
        address, artifact = Address(record.contracts[name]), load_artifact(name)
        contract = client.bind(address, artifact)
        if not artifact.has_runtime(client.engine.code(address)):
            raise LedgerError(f"{name}: at {address} stands something else than this release's {name}", address=address)
        return contract

    return Deployment(
        authority=Authority(client, bind("Authority")),
        identity=Identity(client, bind("DidRegistry")),
        assets=Assets(client, bind("AssetRegistry")),
        consent=Consent(client, bind("ConsentLedger")),
        access=Access(client, bind("AccessGrants")),
        sentinel=Sentinel(client, bind("Sentinel")),
        audit=Audit(client, bind("AuditTrail")),
    )
