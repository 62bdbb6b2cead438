"""A pickup file is taken when its writer has finished, and not before."""

import fcntl
import os
import threading

import pytest

from harness.mail import message, split_block, without_trace

GOOD = message(to="ann@local.example")


def wait_until_another_passes(mailroot, name="other.eml"):
    """A file that came later was taken, so that one that still lies there was left on purpose."""
    before = len(mailroot.files("Drop"))
    mailroot.submit(name, GOOD)
    mailroot.wait_files("Drop", before + 1)


def body_of_only_drop(mailroot, index=-1):
    return split_block(mailroot.files("Drop")[index].read_bytes())[1]


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


def test_a_file_is_left_while_its_writer_holds_the_lock_that_dotnet_holds(mailroot):
    mailroot.serve()
    path = mailroot.folder("Pickup") / "locked.eml"
    with path.open("xb", buffering=0) as writer:
        fcntl.flock(writer, fcntl.LOCK_SH | fcntl.LOCK_NB)
        writer.write(GOOD[: len(GOOD) // 2])
        for name in ("one", "two", "three"):
            wait_until_another_passes(mailroot, name)
        assert path.exists()
        writer.write(GOOD[len(GOOD) // 2 :])
    mailroot.wait_files("Drop", 4)
    assert not path.exists()
    octets = [without_trace(split_block(p.read_bytes())[1]) for p in mailroot.files("Drop")]
    assert all(one.endswith(GOOD) for one in octets)


def test_a_slow_writer_without_a_lock_is_waited_for(mailroot):
    """Its pauses are shorter than pickup.settle; each other file that passes is one pause."""
    mailroot.configure(pickup={"settle": "5s"})
    mailroot.serve()
    path = mailroot.folder("Pickup") / "slow.eml"
    with path.open("xb", buffering=0) as writer:
        for number in range(5):
            writer.write(GOOD[number * len(GOOD) // 5 : (number + 1) * len(GOOD) // 5])
            wait_until_another_passes(mailroot, f"pause{number}")
            assert path.exists()
    mailroot.wait_files("Drop", 6)
    whole = [p for p in mailroot.files("Drop") if split_block(p.read_bytes())[1].endswith(GOOD[-20:])]
    assert len(whole) == 6


def test_a_file_that_was_closed_unheard_is_taken_when_it_has_settled(mailroot):
    mailroot.folder("Pickup").mkdir()
    (mailroot.folder("Pickup") / "before.eml").write_bytes(GOOD)
    mailroot.serve()
    mailroot.wait_files("Drop", 1)


def test_links_are_not_followed(mailroot, workspace):
    mailroot.serve()
    (workspace / "elsewhere.eml").write_bytes(GOOD)
    symbolic, hard = mailroot.folder("Pickup") / "symbolic.eml", mailroot.folder("Pickup") / "hard.eml"
    symbolic.symlink_to(workspace / "elsewhere.eml")
    os.link(workspace / "elsewhere.eml", hard)
    for name in ("one", "two"):
        wait_until_another_passes(mailroot, name)
    assert symbolic.is_symlink() and hard.exists()
    assert (workspace / "elsewhere.eml").read_bytes() == GOOD


def test_many_writers_at_once_lose_nothing(mailroot):
    mailroot.serve()

    def write(writer):
        for number in range(25):
            path = mailroot.folder("Pickup") / f"{writer}-{number}.eml"
            path.write_bytes(message(f"{writer}-{number}", to="ann@local.example"))

    writers = [threading.Thread(target=write, args=[n]) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    files = mailroot.wait_files("Drop", 100)
    subjects = {line for f in files for line in f.read_text().splitlines() if line.startswith("Subject: ")}
    assert len(subjects) == 100
