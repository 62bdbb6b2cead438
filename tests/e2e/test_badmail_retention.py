"""Badmail is cleared by age, size and number, the first to come first; what is not ours to clear stays."""

import fcntl
import os
import time

from harness.clock import set_clock, with_clock
from harness.mail import envelope_block, message
from harness.waiting import wait_for

DAY = 86400
BAD = (envelope_block("<>", "blind@local.example") + message()).ljust(1000, b"x")


def id_of_age(age):
    """As the service drew them then: FILETIME, then 32 bits."""
    return f"{(time.time_ns() - int(age * 1e9)) // 100 + 116444736000000000:016x}deadbeef"


def lay(mailroot, age, name=None):
    """An entry that came so long ago, of 1000, 100 and 100 octets; gives its name."""
    name = name or id_of_age(age)
    path = mailroot.folder("Badmail") / f"{name}.bad"
    for file in (path, path.with_suffix(".bdp"), path.with_suffix(".bdr")):
        file.write_bytes(BAD if file is path else b" " * 100)
    came = time.time() - age
    os.utime(path, (came, came))
    return name


def files_of(*entries):
    return {f"{entry}.{extension}" for entry in entries for extension in ("bad", "bdp", "bdr")}


def names(mailroot):
    return set(os.listdir(mailroot.folder("Badmail")))


def wait_removed(serve, *lines):
    """Waits for the service to say that it removed so much, and no more."""

    def said():
        return [line.partition(": removed ")[2] for line in serve.said if " from Badmail: " in line]

    wait_for(lambda: len(said()) >= len(lines), "Badmail to be cleared")
    assert said() == list(lines)


def test_what_is_older_than_keep_goes_with_what_describes_it(mailroot):
    mailroot.create()
    lay(mailroot, 31 * DAY)
    lay(mailroot, 400 * DAY)
    young = lay(mailroot, 29 * DAY), lay(mailroot, 0)
    serve = mailroot.serve()
    wait_removed(serve, "2 from Badmail: 2 by badmail.keep")
    assert names(mailroot) == files_of(*young)
    assert serve.stop() == 0


def test_the_oldest_go_until_the_rest_fits_the_size_of_all_files(mailroot):
    mailroot.configure(badmail={"maxSize": 3200})
    mailroot.create()
    rest = lay(mailroot, 1 * DAY), lay(mailroot, 2 * DAY)
    lay(mailroot, 3 * DAY)
    wait_removed(mailroot.serve(), "1 from Badmail: 1 by badmail.maxSize")
    assert names(mailroot) == files_of(*rest)


def test_the_oldest_go_until_the_rest_is_no_more_than_the_number(mailroot):
    mailroot.configure(badmail={"maxCount": 2})
    mailroot.create()
    rest = lay(mailroot, 1 * DAY), lay(mailroot, 2 * DAY)
    for days in (4, 3, 31):
        lay(mailroot, days * DAY)
    wait_removed(mailroot.serve(), "3 from Badmail: 1 by badmail.keep, 2 by badmail.maxCount")
    assert names(mailroot) == files_of(*rest)


def test_zero_is_no_limit(mailroot):
    mailroot.configure(badmail={"keep": "0s", "maxSize": 0, "maxCount": 1})
    mailroot.create()
    lay(mailroot, 3001 * DAY)
    large = lay(mailroot, 3000 * DAY)
    os.truncate(mailroot.folder("Badmail") / f"{large}.bdr", 2 << 30)
    wait_removed(mailroot.serve(), "1 from Badmail: 1 by badmail.maxCount")
    assert names(mailroot) == files_of(large)


def test_what_is_in_hand_stays_and_goes_an_hour_later(mailroot, workspace):
    mailroot.configure(badmail={"maxCount": 1})
    mailroot.create()
    held, young = lay(mailroot, 3 * DAY), lay(mailroot, 1 * DAY)
    lay(mailroot, 2 * DAY)
    clock = workspace / "clock"
    set_clock(clock, "+0")
    # The clock that is waited by is set, too; files keep their times.
    serve_by_clock = [*with_clock(clock), "FAKETIME_DONT_FAKE_MONOTONIC=0", "NO_FAKE_STAT=1"]
    with (mailroot.folder("Badmail") / f"{held}.bad").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        serve = mailroot.serve(under=serve_by_clock)
        wait_removed(serve, "1 from Badmail: 1 by badmail.maxCount")
        assert names(mailroot) == files_of(held, young)
    set_clock(clock, "+61m")
    wait_removed(serve, *["1 from Badmail: 1 by badmail.maxCount"] * 2)
    assert names(mailroot) == files_of(young)
    assert serve.stop() == 0


def test_what_is_not_an_entry_stays(mailroot):
    mailroot.create()
    folder = mailroot.folder("Badmail")
    lay(mailroot, 400 * DAY, "kept by hand")
    coming = id_of_age(400 * DAY)
    for name in ("notes.txt", f".{coming}.ready", f"{coming}.bdp", f"{coming}.bdr", f".{id_of_age(401 * DAY)}.tmp"):
        (folder / name).write_bytes(BAD)
        os.utime(folder / name, (0, 0))
    stays = names(mailroot)
    lay(mailroot, 402 * DAY)
    with (folder / f".{coming}.ready").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        wait_removed(mailroot.serve(), "1 from Badmail: 1 by badmail.keep")
        assert names(mailroot) == stays


def test_a_file_of_pickup_is_as_old_as_its_stay_in_badmail(mailroot):
    mailroot.create()
    draft = mailroot.root / "draft"
    draft.write_bytes(b"no mail")
    os.utime(draft, (0, 0))
    draft.rename(mailroot.folder("Pickup") / "x.eml")
    serve = mailroot.serve()
    (bad,) = mailroot.wait_files("Badmail", pattern="*.bad")
    assert bad.stat().st_mtime == 0 and serve.stop() == 0
    lay(mailroot, 31 * DAY)
    wait_removed(mailroot.serve(), "1 from Badmail: 1 by badmail.keep")
    assert names(mailroot) == files_of(bad.stem)
