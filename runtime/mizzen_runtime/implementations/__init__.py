"""What the interfaces of services are implemented with. A module for each; its client library loads with it only."""
