"""Starting and ending a cluster."""

import shutil
import subprocess
import sys
import time

from devcluster import cgroups, claims, images, kernel, network, pki, readiness, records
from devcluster.build import require_binaries
from devcluster.components import DEFAULT_SYNC_FREQUENCY, configuration
from devcluster.errors import DevClusterError
from devcluster.paths import REPOSITORY, ClusterPaths
from devcluster.processes import NodeProcess
from devcluster.progress import Report, step
from devcluster.shell import clean_environment, wait_until
from devcluster.spec import Spec, find_programs, load_node, load_spec, save_spec


def up(paths: ClusterPaths, sync_frequency: str | None, report: Report) -> None:
    """Start a cluster, or start it again on its data, and return when pods can run. One that runs is left alone.

    Args:
        paths: of the cluster.
        sync_frequency: how often kubelet looks at mounted ConfigMaps and Secrets; None leaves it as it is.
        report: is told each step with the time it took.

    Raises:
        DevClusterError: something is missing, or a component ended; the message holds its last log lines.
    """
    begun = time.monotonic()
    with claims.locked(paths.name, report):
        record, spec = records.running(paths), load_spec(paths)
        if record and spec:
            _check_unchanged(paths, spec, sync_frequency)
            if record.complete and readiness.answers(paths):
                report(f"the cluster {paths.name!r} is running: {spec.subnet.api_url}")
                return
        else:
            report(f"starting the cluster {paths.name!r}" + (" on its data" if spec else ""))
            if failure := records.failure_text(paths):
                report(f"  it had ended by itself: {failure}")
            spec = _prepare(paths, spec, sync_frequency, report)
            _clean_up(paths, spec)
            record = _start(paths, spec)
        readiness.complete(paths, spec, record, report)
    report(f"the cluster {paths.name!r} is ready after {time.monotonic() - begun:.1f} s: {spec.subnet.api_url}")


def down(paths: ClusterPaths, report: Report, *, keep_data: bool = False) -> bool:
    """End a cluster and remove what it left, its data too unless they are to be kept; give whether there was one.

    Works whatever state the cluster is in: running, killed, or with its state folder deleted by hand.
    """
    with claims.locked(paths.name, report):
        if not paths.state.exists() and not claims.owns(paths):
            return False
        with step(report, f"the cluster {paths.name!r} is {'stopped' if keep_data else 'removed'}"):
            _clean_up(paths, _readable_spec(paths))
            claims.release(paths)
            if not keep_data and paths.state.exists():
                shutil.rmtree(paths.state)
        return True


def _check_unchanged(paths: ClusterPaths, spec: Spec, sync_frequency: str | None) -> None:
    if sync_frequency not in {None, spec.sync_frequency}:
        raise DevClusterError(
            f"the cluster {paths.name!r} is running with --sync-frequency {spec.sync_frequency}",
            f"stop it first: `python -m devcluster down {paths.name} --keep-data`",
        )


def _prepare(paths: ClusterPaths, old: Spec | None, sync_frequency: str | None, report: Report) -> Spec:
    """Make all that the node's processes read."""
    require_binaries()
    find_programs()
    kernel.raise_inotify_limit(report)
    with step(report, "keys, certificates and configuration"):
        for folder in (paths.state, paths.config, paths.config / "cni", paths.data, paths.logs, paths.pod_logs):
            folder.mkdir(parents=True, exist_ok=True)
        paths.state.chmod(0o700)
        slot = claims.claim(paths, old.slot if old else None)
        frequency = sync_frequency or (old.sync_frequency if old else DEFAULT_SYNC_FREQUENCY)
        spec = Spec(slot, images.pause_reference(), frequency)
        save_spec(paths, spec)
        pki.issue(paths, spec.subnet)
        for name, content in configuration(load_node(paths)).items():
            (paths.config / name).write_text(content)
        images.build_pause()
    return spec


def _clean_up(paths: ClusterPaths, spec: Spec | None) -> None:
    """End what is left of the last start, and forget it."""
    if not claims.owns(paths):
        return
    if record := records.load_record(paths):
        record.process.kill()
    if spec:
        network.disconnect(spec.subnet)
    cgroups.remove(paths.name)
    paths.node.unlink(missing_ok=True)
    paths.failure.unlink(missing_ok=True)


def _readable_spec(paths: ClusterPaths) -> Spec | None:
    try:
        return load_spec(paths)
    except DevClusterError:
        return None  # it is to be removed anyway; the link ends with the last process in it


def _start(paths: ClusterPaths, spec: Spec) -> records.NodeRecord:
    """Start the node's first process in namespaces of its own, detached from this process, and connect it."""
    cgroups.create(paths.name)
    pid_file = paths.run / "pid"
    pid_file.unlink(missing_ok=True)
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    supervisor = [sys.executable, "-m", "devcluster.node", paths.name]
    # `setsid --fork` gives the node away: it must not end, or stay a zombie, with who started it.
    launcher = ["setsid", "--fork", "sh", "-c", 'echo $$ >"$0" && exec "$@"', str(pid_file), *unshare, *supervisor]
    where = {"PYTHONPATH": str(REPOSITORY), "MIZZEN_STATE": str(paths.state.parent.parent)}
    environment = clean_environment(proxies=False, PYTHONDONTWRITEBYTECODE="1", **where)
    with (paths.logs / "node.log").open("ab") as log:
        subprocess.run(launcher, check=True, cwd="/", env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    found: list[NodeProcess] = []

    def appeared() -> bool:
        text = pid_file.read_text().strip() if pid_file.exists() else ""
        process = NodeProcess.find(int(text)) if text else None
        found.extend([process] if process else [])
        return process is not None

    if not wait_until(appeared, seconds=10, interval=0.01):
        raise DevClusterError("the node's namespaces were not made", f"read {paths.logs / 'node.log'}")
    record = records.new_record(found[0])
    records.save_record(paths, record)
    network.connect(spec.subnet, record.process.holder.pid)
    return record
