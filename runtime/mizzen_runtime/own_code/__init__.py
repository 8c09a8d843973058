"""Code of the user's own, named by import path in the resource: how it is loaded, and what is said when it fails."""
