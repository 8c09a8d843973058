"""Where the process stands in its life. Imports nothing heavy: probes ask for it from the first millisecond on."""

from typing import Literal

Phase = Literal["Starting", "Serving", "Draining"]


class Lifecycle:
    """Starting until wired, Serving until SIGTERM, then Draining; it never goes back."""

    def __init__(self) -> None:
        self.wired = False
        """The agent is built and the traffic port is open."""
        self.draining = False
        """SIGTERM has come."""
        self.leaving = False
        """The handover is over: whoever asks whether to send requests here is told not to."""

    @property
    def phase(self) -> Phase:
        """The phase in one word."""
        if self.draining:
            return "Draining"
        return "Serving" if self.wired else "Starting"
