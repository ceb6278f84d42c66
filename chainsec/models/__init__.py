"""Models that learn from rows, texts, sequences and series, and know neither agent nor chain."""
