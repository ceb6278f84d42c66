"""An ``Engine`` on any EVM node that speaks JSON-RPC: anvil, Besu, GoQuorum, geth and others."""
