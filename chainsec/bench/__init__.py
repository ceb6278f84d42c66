"""How fast it is, measured: peers side by side in one run, in turns, every effect checked.

Layer: above scenarios, below app. Not here: how figures are shown (``chainsec.app``).
"""
