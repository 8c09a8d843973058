"""What is known of the requests that ended: counted since the start, and how they went lately."""
