"""What the process uses, under the names that Prometheus' client libraries share; read at a scrape."""

from collections.abc import Iterable

import psutil
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class ProcessCollector(Collector):
    """Memory, CPU time, open files and threads of this process."""

    def __init__(self) -> None:
        self._process = psutil.Process()

    def collect(self) -> Iterable[Metric]:
        """Read them now."""
        with self._process.oneshot():
            memory = self._process.memory_info()
            times = self._process.cpu_times()
            threads = self._process.num_threads()
            started = self._process.create_time()
            descriptors = self._process.num_fds()
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory", value=memory.rss)
        yield GaugeMetricFamily("process_virtual_memory_bytes", "Virtual memory", value=memory.vms)
        yield CounterMetricFamily("process_cpu_seconds", "CPU time, user and system", value=times.user + times.system)
        yield GaugeMetricFamily("process_open_fds", "Open file descriptors", value=descriptors)
        yield GaugeMetricFamily("process_threads", "Threads", value=threads)
        yield GaugeMetricFamily("process_start_time_seconds", "Start of the process, Unix time", value=started)
