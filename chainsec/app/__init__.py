"""Edges: command line, terminal, report. A command parses, calls one function below, renders."""
