"""A system on a chain that others run: keys in files, contracts that stand somewhere, an agent that never leaves."""
