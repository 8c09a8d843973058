"""The runtime, as `python -m mizzen_runtime` starts it, around an agent that answers at once."""

import runpy

from bench.stub import stub_agents

if __name__ == "__main__":
    stub_agents()
    runpy.run_module("mizzen_runtime", run_name="__main__", alter_sys=True)
