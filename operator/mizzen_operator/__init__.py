"""The operator: watches AgentDeployments and keeps their objects as desired."""
