"""A pickup file is taken when its writer has finished, and not before."""

import pytest

from harness.mail import message

GOOD = message(to="ann@local.example")


def wait_until_another_passes(mailroot, name="other.eml"):
    """A file that came later was taken, so that one that still lies there was left on purpose."""
    before = len(mailroot.files("Drop"))
    mailroot.submit(name, GOOD)
    mailroot.wait_files("Drop", before + 1)


def test_an_empty_file_is_left_alone_and_taken_once_it_is_filled(mailroot):
    mailroot.serve()
    path = mailroot.folder("Pickup") / "empty.eml"
    path.touch()
    for name in ("one", "two"):
        wait_until_another_passes(mailroot, name)
    assert path.exists() and not mailroot.files("Badmail")
    path.write_bytes(GOOD)
    mailroot.wait_files("Drop", 3)


@pytest.mark.parametrize("name", ["x.tmp", "x.part", "x.eml~", ".x.eml"])
def test_names_of_unfinished_files_are_left_alone(name, mailroot):
    mailroot.serve()
    path = mailroot.folder("Pickup") / name
    path.write_bytes(GOOD)
    for other in ("one", "two"):
        wait_until_another_passes(mailroot, other)
    assert path.exists()
    path.rename(path.with_name("whole.eml"))
    mailroot.wait_files("Drop", 3)


def test_a_file_that_was_closed_unheard_is_taken_when_it_has_settled(mailroot):
    mailroot.folder("Pickup").mkdir()
    (mailroot.folder("Pickup") / "before.eml").write_bytes(GOOD)
    mailroot.serve()
    mailroot.wait_files("Drop", 1)
