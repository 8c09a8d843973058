"""What is applied to a cluster. `python -m manifests.generate` writes the generated part of it, and the chart's."""
