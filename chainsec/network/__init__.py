"""The permissioned network: QBFT validators that execute real blocks, over simulated links, in virtual time."""
