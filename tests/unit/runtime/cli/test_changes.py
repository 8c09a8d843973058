"""What counts as changed."""

from pathlib import Path

from mizzen_runtime.cli.changes import Changes
from mizzen_runtime.cli.files import Inputs


def test_what_is_saved_during_a_check_is_told_after_it(tmp_path: Path) -> None:
    code = tmp_path / "acme.py"
    code.write_text("1")
    changes = Changes(Inputs([]))
    changes.watch_code([str(code)])
    assert (changes.settled(), changes.pending()) == (None, False)

    code.write_text("22")
    assert changes.settled() is None  # it may still be written
    assert changes.settled() == (False, True)
    code.write_text("333")
    changes.watch_code([str(code)])

    assert changes.pending()
    assert changes.settled() == (False, True)
    assert not changes.pending()
