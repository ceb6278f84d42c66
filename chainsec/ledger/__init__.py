"""The chain: what blocks, accounts, contracts and their proofs are, in canonical bytes and integers.

Layer: ledger. Not here: what the contracts mean (``services``), who decides (``defence``).
"""
