"""How the pod is, and why: signals, what is made of them, and who looks."""
