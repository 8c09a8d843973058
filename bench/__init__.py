"""Benchmarks beside their baselines. `python -m bench` lists and runs them; RESULTS.md keeps what was measured."""
