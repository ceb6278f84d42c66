"""The agent: features, behaviour, detectors, policy, receipts. Knows no chain."""
