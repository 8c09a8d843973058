"""The build around Go: what is reused, what a failure leaves, two builders at once. Go itself is played by a script."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devcluster.build import CLUSTER, PROMETHEUS, binaries, build, require_binaries
from devcluster.errors import DevClusterError
from devcluster.progress import silent

GO = """\
#!/bin/sh
echo "$PWD $*" >> {log}
case "$1" in
  env) echo {version} ;;
  list) printf 'fmt\\nk8s.io/api\\n' ;;
  build)
    echo k8s.io/api
    [ -z "{failure}" ] || {{ echo 'x.go:1:2: {failure}'; exit 1; }}
    while [ "$1" != -o ]; do shift; done
    folder=$2; shift 2
    for package; do echo program > "$folder$(basename "$package")"; done ;;
esac
"""


class FakeGo:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._program, self._log = folder / "go", folder / "log"
        monkeypatch.setenv("MIZZEN_GO", str(self._program))
        monkeypatch.setenv("MIZZEN_CACHE", str(folder / "cache"))
        monkeypatch.setattr("devcluster.build.REPOSITORY", folder)
        monkeypatch.setattr("devcluster.build.search_path", lambda: str(folder / "nothing"))

    def write(self, version: str = "go1.26.8", failure: str = "") -> None:
        # Whole at once: a file that another thread still writes to cannot be executed.
        draft = self._program.with_suffix(".new")
        draft.write_text(GO.format(log=self._log, version=version, failure=failure))
        draft.chmod(0o755)
        draft.rename(self._program)

    def builds(self) -> list[str]:
        return [line for line in self._log.read_text().splitlines() if line.split()[1] == "build"]


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    made = FakeGo(tmp_path, monkeypatch)
    made.write()
    return made


def test_what_has_been_built_is_not_built_again(go: FakeGo) -> None:
    with pytest.raises(DevClusterError, match="has not been built"):
        require_binaries()
    first = build(CLUSTER, silent)
    begun = time.monotonic()
    assert build(CLUSTER, silent) == first == require_binaries()
    assert time.monotonic() - begun < 0.1
    assert len(go.builds()) == 1
    assert {path.name for path in first.folder.iterdir()} >= {"kubectl", "helm", "kubelet", "coredns"}


def test_prometheus_is_built_only_when_asked_for(go: FakeGo) -> None:
    assert not build(CLUSTER, silent).has(PROMETHEUS)
    assert build(PROMETHEUS, silent).prometheus.is_file()
    assert [("kube-apiserver" in line, "cmd/prometheus" in line) for line in go.builds()] == [
        (True, False),
        (False, True),
    ]


def test_two_builders_at_once_build_once(go: FakeGo) -> None:
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(lambda _: build(CLUSTER, silent), range(2))
    assert first == second
    assert len(go.builds()) == 1


def test_a_failed_build_says_why_and_leaves_nothing(go: FakeGo) -> None:
    go.write(failure="undefined: y")
    with pytest.raises(DevClusterError, match=r"x\.go:1:2: undefined: y\n  next: if modules could not be fetched"):
        build(CLUSTER, silent)
    assert sorted(path.name for path in binaries().folder.parent.iterdir()) == ["lock"]
    go.write()
    assert build(CLUSTER, silent).has(CLUSTER)


def test_gos_older_than_modules_with_toolchains_are_passed_over(go: FakeGo) -> None:
    go.write(version="go1.20.14")
    with pytest.raises(DevClusterError, match=r"no Go 1\.21 or newer"):
        build(CLUSTER, silent)


def test_an_older_go_may_fetch_the_toolchain_that_it_needs(
    go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOTOOLCHAIN", "local")
    go.write(version="go1.21.0")
    script = Path(os.environ["MIZZEN_GO"])
    script.write_text(script.read_text().replace("build)\n", f"build)\n    echo $GOTOOLCHAIN > {tmp_path}/toolchain\n"))
    build(CLUSTER, silent)
    assert (tmp_path / "toolchain").read_text() == "auto\n"


def test_a_change_of_the_module_is_another_version(go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = binaries()
    module = tmp_path / "module"
    (module / "coredns").mkdir(parents=True)
    (module / "go.mod").write_text("go 1.26.0\n\nrequire (\n\tk8s.io/kubernetes v1.99.0\n)\n")
    (module / "go.sum").write_text("")
    (module / "coredns" / "main.go").write_text("")
    monkeypatch.setattr("devcluster.build.GO_MODULE", module)
    assert binaries() != before
    build(CLUSTER, silent)
    assert "version.gitVersion=v1.99.0" in go.builds()[0]
    assert "version.gitMinor=99" in go.builds()[0]
