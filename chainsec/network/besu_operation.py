"""How the operators of an exported network start and run it: options, compose file, instructions.

Layer: network. Not here: genesis, keys and allowlists (``besu``), writing files (``besu_directory``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chainsec.network.besu import allowlist_text, genesis_text, static_nodes_text
from chainsec.network.committee import majority_size, most_faulty, quorum_size

if TYPE_CHECKING:
    from chainsec.network.besu import BesuNetwork, BesuNode

__all__ = ["PRIVATE_MODE", "PUBLIC_MODE", "ExportedFile", "export_files"]

PUBLIC_MODE, PRIVATE_MODE = 0o644, 0o600
_FIRST_RPC_PORT = 8545
_RPC_PORT = 8545


class ExportedFile(NamedTuple):
    """A file's content and its permission bits."""

    content: bytes
    mode: int = PUBLIC_MODE


def export_files(network: BesuNetwork, *, user: str) -> dict[str, ExportedFile]:
    """Return every file that operators start ``network`` from, by relative path.

    Args:
        network: what is exported.
        user: whose files they become, as numbers ``uid:gid``: keys are readable for nobody else, so the containers run
            as this user.

    Raises:
        ValueError: the genesis does not decode to what it was made of.
    """
    files = {
        "genesis.json": ExportedFile(genesis_text(network)),
        "static-nodes.json": ExportedFile(static_nodes_text(network)),
        "docker-compose.yml": ExportedFile(_compose_text(network).encode()),
        ".env": ExportedFile(f"BESU_VERSION={network.besu_version}\nBESU_USER={user}\n".encode()),
        "README.md": ExportedFile(_readme_text(network).encode()),
    }
    for node in network.nodes:
        folder = f"nodes/{node.name}"
        files[f"{folder}/key"] = ExportedFile(f"0x{node.account.private_key.hex()}\n".encode(), PRIVATE_MODE)
        files[f"{folder}/permissions_config.toml"] = ExportedFile(allowlist_text(network))
        files[f"{folder}/config.toml"] = ExportedFile(_options_text(network, node).encode())
    return files


def _options_text(network: BesuNetwork, node: BesuNode) -> str:
    return f"""\
# {node.name}: validator 0x{node.account.address.hex()}
data-path="/data"
genesis-file="/network/genesis.json"
static-nodes-file="/network/static-nodes.json"
discovery-enabled=false
nat-method="NONE"
p2p-host="{node.host}"
p2p-port={node.enode.rpartition(":")[2]}
sync-mode="FULL"

# Gas is free: no price, no balance to pay it from.
min-gas-price=0
tx-pool-enable-balance-check=false
target-gas-limit={network.gas_limit}

# Whoever reaches this port can vote and change the lists: it is open to this machine only.
rpc-http-enabled=true
rpc-http-host="127.0.0.1"
rpc-http-port={_RPC_PORT}
rpc-http-api=["ETH","NET","QBFT","PERM","TXPOOL","WEB3"]

# Both lists are in permissions_config.toml beside this file.
permissions-nodes-config-file-enabled=true
permissions-accounts-config-file-enabled={"true" if network.accounts else "false"}
"""


def _compose_text(network: BesuNetwork) -> str:
    services = "".join(
        f"""\
  {node.name}:
    image: "hyperledger/besu:${{BESU_VERSION}}"
    user: "${{BESU_USER}}"
    # the port has to be open inside the container; it is published to this machine only
    command: ["--config-file=/data/config.toml", "--rpc-http-host=0.0.0.0"]
    restart: unless-stopped
    volumes:
      - "./nodes/{node.name}:/data"
      - "./genesis.json:/network/genesis.json:ro"
      - "./static-nodes.json:/network/static-nodes.json:ro"
    ports:
      - "127.0.0.1:{_FIRST_RPC_PORT + node.number - 1}:{_RPC_PORT}"
    networks:
      validators:
        ipv4_address: "{node.host}"
"""
        for node in network.nodes
    )
    return f"""\
services:
{services}networks:
  validators:
    ipam:
      config:
        - subnet: "{network.host_prefix}0/24"
"""


def _readme_text(network: BesuNetwork) -> str:
    count = len(network.nodes)
    rows = "\n".join(
        f"| {node.name} | `0x{node.account.address.hex()}` | {node.host} | {_FIRST_RPC_PORT + node.number - 1} |"
        for node in network.nodes
    )
    accounts = (
        "Only the accounts in `permissions_config.toml` may send transactions. Everybody who is to act needs to be "
        "there, members, gateways and owners too. On every node:"
        if network.accounts
        else "Every account may send transactions. To change that, list accounts in every "
        "`nodes/*/permissions_config.toml`, set `permissions-accounts-config-file-enabled=true` in every "
        "`nodes/*/config.toml` and restart; later changes go over RPC:"
    )
    return f"""\
# A QBFT network of {count} validators

Chain id {network.chain_id}, a block every {network.block_period_s} s, {network.request_timeout_s} s for the first \
round, free gas, Cancun rules. {quorum_size(count)} of {count} validators have to agree on a block; \
{most_faulty(count)} may fail.

| node | validator | address | RPC port on this machine |
|---|---|---|---|
{rows}

## Files

- `genesis.json`: the same on every node, down to the last byte.
- `static-nodes.json`: whom nodes connect to.
- `nodes/NODE/key`: the node's private key. **Whoever has it is this validator.** It goes to that node's operator over \
a safe way and nowhere else.
- `nodes/NODE/permissions_config.toml`: which nodes may connect, which accounts may send.
- `nodes/NODE/config.toml`: the node's options.
- `docker-compose.yml`, `.env`: all nodes on one machine, as this user.

## Start

    docker compose up -d
    docker compose logs -f node-1

On machines of their own: put the operators' addresses in place of {network.host_prefix}x in `static-nodes.json` and \
in every `permissions_config.toml` and `config.toml`, open port 30303 between them, and start each node in its folder \
with

    besu --config-file=config.toml --data-path=. --genesis-file=../../genesis.json \\
      --static-nodes-file=../../static-nodes.json

Every validator runs the same version of Besu; this was written for {network.besu_version}. Clocks have to agree \
within a second.

## Check

The first block of every node has to have the hash `{network.genesis_header.hash}`; node 1 answers on port \
{_FIRST_RPC_PORT}, the others on those of the table above:

    curl -s -H 'content-type: application/json' http://127.0.0.1:8545 \\
      --data '{{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x0",false]}}'

The validators, and how far the chain has come:

    curl -s -H 'content-type: application/json' http://127.0.0.1:8545 \\
      --data '{{"jsonrpc":"2.0","id":1,"method":"qbft_getValidatorsByBlockNumber","params":["latest"]}}'
    curl -s -H 'content-type: application/json' http://127.0.0.1:8545 \\
      --data '{{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}}'

## Let a node connect, let an account send

{accounts}

    curl -s -H 'content-type: application/json' http://127.0.0.1:8545 \\
      --data '{{"jsonrpc":"2.0","id":1,"method":"perm_addAccountsToAllowlist","params":[["0xACCOUNT"]]}}'

A new node needs `genesis.json`, a key of its own and the same options. Before it starts, every node lets it in, and \
it lists them all:

    curl -s -H 'content-type: application/json' http://127.0.0.1:8545 \\
      --data '{{"jsonrpc":"2.0","id":1,"method":"perm_addNodesToAllowlist","params":[["enode://KEY@ADDRESS:30303"]]}}'

## Vote a validator in or out

More than half of the validators say the same, each on its own node, {majority_size(count)} of {count} today; `true` \
lets in, `false` out. Votes are forgotten every 30,000 blocks. Let a new node catch up first.

    curl -s -H 'content-type: application/json' http://127.0.0.1:8545 \\
      --data '{{"jsonrpc":"2.0","id":1,"method":"qbft_proposeValidatorVote","params":["0xVALIDATOR",true]}}'

A validator that is gone costs a timeout whenever its turn comes: vote it out.

## Contracts and agent

    chainsec deploy --engine http://127.0.0.1:8545 --keys keys --out deployment.json
    chainsec agent --engine http://127.0.0.1:8545 --deployment deployment.json --keys keys --contexts inbox --run agent

## If more than {most_faulty(count)} were down

Each round has twice the time of the one before, and nodes drift apart. When enough are back, restart all of them \
together (`docker compose restart`): one after the other does not help.
"""
