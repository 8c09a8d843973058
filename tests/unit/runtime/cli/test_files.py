"""Which files are read, and how often."""

import os
import threading
from pathlib import Path

from mizzen_runtime.cli.files import Inputs

CONFIG_MAP = "{apiVersion: v1, kind: ConfigMap, metadata: {name: NAME}}"


def test_hidden_files_and_folders_of_a_folder_are_left_out(tmp_path: Path) -> None:
    for name in ("a.yaml", "inner/b.yml", ".hidden.yaml", ".venv/lib/c.yaml", "inner/.git/d.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(CONFIG_MAP.replace("NAME", "x"))
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    assert sorted(Inputs([str(tmp_path)]).states()) == [str(tmp_path / "a.yaml"), str(tmp_path / "inner" / "b.yml")]
    assert list(Inputs([str(tmp_path / ".venv")]).states()) == [str(tmp_path / ".venv" / "lib" / "c.yaml")]


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CONFIG_MAP.replace("NAME", "x"))
    objects, findings = Inputs(
        [str(tmp_path), str(tmp_path / "a.yaml"), f"{tmp_path}/../{tmp_path.name}/a.yaml"]
    ).read()
    assert (list(objects.data), findings) == ([("ConfigMap", "default", "x")], [])


def test_a_pipe_is_read_and_what_it_held_is_kept(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writing = threading.Thread(target=(tmp_path / "pipe").write_text, args=[CONFIG_MAP.replace("NAME", "x")])
    writing.start()
    inputs = Inputs([str(tmp_path / "pipe")])
    inputs.wait_for_pipes()
    writing.join()
    for _ in range(2):
        objects, findings = inputs.read()
        assert (list(objects.data), findings) == ([("ConfigMap", "default", "x")], [])
