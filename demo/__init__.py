"""The main job from a checkout: a cluster, the operator, an agent with a real language model, an answer."""
