"""Seeded workloads, log replay, running them on a sandbox and measuring what came out."""
