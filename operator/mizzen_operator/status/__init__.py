"""What is told to people about an agent: its status, its conditions, its events."""
