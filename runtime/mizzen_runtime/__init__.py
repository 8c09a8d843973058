"""The process in an agent's pod.

`server` composes it; `http` is the transport; `agent_service` is the data plane, which knows no HTTP; `agent` builds
the pydantic-ai agent from what `config` read.
"""
