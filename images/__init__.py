"""The container images: operator, runtime and model server. `images.build` builds them; README.md has their sizes."""
