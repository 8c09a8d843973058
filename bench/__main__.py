"""`python -m bench` runs every benchmark; each runs by itself too, with options: `python -m bench.startup --help`."""

import subprocess
import sys

BENCHMARKS = (
    "startup",
    "overhead",
    "memory",
    "percentiles",
    "admission",
    "request_log",
    "container",
    "apply",
    "edit",
    "bulk",
    "footprint",
    "takeover",
)


def main() -> int:
    """Run them one after the other; give the number of those that failed."""
    failed = 0
    for name in BENCHMARKS:
        print(f"\n## python -m bench.{name}\n", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
