"""Studies: what each model is worth on public data, by a stated protocol, beside what others published."""
