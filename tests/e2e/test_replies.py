"""Whatever a host says, and wherever: each recipient gets the message once, or its sender hears why not."""

from collections import Counter

import pytest

from harness.clock import set_clock, with_clock
from harness.mail import envelope_block, message, without_trace
from harness.rude import HANG_UP, RESET, SILENCE, once
from harness.waiting import wait_for

HOSTS = {
    "HELO": None,
    "EHLO": [],
    "PIPELINING": ["PIPELINING", "8BITMIME", "SIZE"],
    "BDAT": ["CHUNKING"],
    "BDAT pipelined": ["PIPELINING", "CHUNKING", "8BITMIME", "SIZE"],
}
SUBJECTS = ["one", "two", "three"]
SENT = {subject: message(subject, body=f"{subject}\r\n.\r\n..{subject}\r\n") for subject in SUBJECTS}


@pytest.fixture
def world(new_mailroot, loopback):
    """A mailroot with a single connection to each host, which are addressed by their literals."""
    world = new_mailroot(delivery={"connectionsPerDomain": 1, "retry": ["1h"]}).create()
    world.host, world.port = loopback.host(11), loopback.free_port()
    world.configure(delivery={"port": world.port})
    world.ann, world.bob = f"ann@[{world.host}]", f"bob@[{world.host}]"
    return world


def submit_all(world):
    for subject, content in SENT.items():
        world.submit(f"{subject}.eml", envelope_block("app@local.example", world.ann, world.bob) + content)


def waiting(world):
    """(subject, recipient) of all that is in Queue, with the reason."""
    reasons = {}
    for entry in world.report("queue-report")["messages"]:
        subject = subject_of((world.folder("Queue") / f"{entry['id']}.eml").read_bytes())
        for recipient in entry["recipients"]:
            if not recipient["settled"]:
                reasons[subject, recipient["address"]] = recipient["lastReply"]
    return reasons


def subject_of(octets):
    """The message's own, which a report has last."""
    return octets.rpartition(b"\nSubject: ")[2].partition(b"\r\n")[0].decode()


def returned(world):
    """(subject, recipient) of all that was reported, with the reason."""
    reasons = {}
    for path in world.files("Drop"):
        octets = path.read_bytes()
        for part in octets.split(b"Final-Recipient: rfc822;")[1:]:
            address, _, fields = part.decode().partition("\r\n")
            pair = subject_of(octets), address.strip()
            assert pair not in reasons, "reported twice"
            reasons[pair] = fields
    return reasons


def arrived(host):
    for taken in host.taken:
        assert without_trace(taken.content) == SENT[subject_of(taken.content)]
    return Counter((subject_of(taken.content), recipient) for taken in host.taken for recipient in taken.recipients)


DELIVERED, DEFERRED, FAILED = "delivered", "deferred", "failed"
LATER, NEVER, CLOSING = "451 4.3.2 not now", "554 5.7.1 not you", "421 4.3.2 closing"
GARBAGE = "\x07nonsense"
REPLIES = {
    "4xx": (LATER, DEFERRED, LATER),
    "5xx": (NEVER, FAILED, NEVER),
    "421": (CLOSING, DEFERRED, CLOSING),
    "garbage": (GARBAGE, DEFERRED, "the host broke SMTP: ?nonsense is no reply"),
    "hang-up": (HANG_UP, DEFERRED, "connection closed"),
    "reset": (RESET, DEFERRED, "connection"),
}


# They are for all messages that wait for the connection.
OF_CONNECTION = ("greeting", "EHLO", "HELO")


def outcome(command, reply):
    """What becomes of what it was said to; EHLO that is refused is followed by HELO."""
    said, kind, reason = REPLIES[reply]
    if command == "EHLO" and reply in ("4xx", "5xx"):
        kind = DELIVERED
    return said, kind, reason


def concerned(command, reply):
    """How many recipients, of three messages with two each."""
    if command in OF_CONNECTION:
        return 6
    return 1 if command == "RCPT" and reply in ("4xx", "5xx") else 2


def asked(host):
    hello = "HELO" if host == "HELO" else "EHLO"
    data = [] if "BDAT" in host else ["DATA"]
    return ["greeting", hello, "MAIL", "RCPT", *data, "end"]


# What was sent in one flight with the RCPT is a case of its own, below.
CASES = [
    (host, command, reply)
    for host in HOSTS
    for command in asked(host)
    for reply in REPLIES
    if (host, command, reply) != ("BDAT pipelined", "RCPT", "garbage")
]


def goes_later(world, host, outcomes):
    """Once the host behaves, who waits has the message, too, and nobody hears anything twice."""
    host.says.clear()
    assert world.run("queue-retry", "--all").returncode == 0
    assert arrived(host) == {pair: 1 for pair in [*outcomes[DELIVERED], *outcomes[DEFERRED]]}
    assert set(returned(world)) == set(outcomes[FAILED])
    assert not world.files("Queue") and not world.files("Badmail")


def drain(world, host):
    submit_all(world)
    world.run("pickup-drain")
    outcomes = {DELIVERED: arrived(host), DEFERRED: waiting(world), FAILED: returned(world)}
    assert sum(map(len, outcomes.values())) == 6, "each has one outcome"
    return outcomes


@pytest.mark.parametrize("host, command, reply", CASES)
def test_a_reply(host, command, reply, world, rude):
    said, kind, reason = outcome(command, reply)
    says = {command: said if command in OF_CONNECTION else once(said)}
    host = rude(world.host, world.port, offers=HOSTS[host], says=says)
    outcomes = drain(world, host)
    assert len(outcomes[kind]) == (6 if kind == DELIVERED else concerned(command, reply))
    for why in [*outcomes[DEFERRED].values(), *outcomes[FAILED].values()]:
        assert reason in why
    goes_later(world, host, outcomes)


def test_nonsense_in_a_flight_may_double_a_message_and_says_so(world, rude):
    """The message is sent by then, and whom the host took it for it said in words that nobody can know; the message
    behind it is on its way."""
    # To the first message of a connection they are said one by one.
    second_message = once(GARBAGE, after=2)
    host = rude(world.host, world.port, offers=HOSTS["BDAT pipelined"], says={"RCPT": second_message})
    submit_all(world)
    world.run("pickup-drain")
    deferred = waiting(world)
    assert len(deferred) == 4
    assert sum("the host broke SMTP" in why for why in deferred.values()) == 2
    assert all("a duplicate is possible" in why for why in deferred.values())
    assert world.run("queue-retry", "--all").returncode == 0
    assert set(arrived(host).values()) == {1, 2}


TWICE = {
    "greeting": "220 host.example\r\n220 host.example again",
    "EHLO": "250 host.example\r\n250 again",
    "HELO": "250 host.example\r\n250 again",
    "MAIL": "250 2.1.0 go on\r\n250 2.1.0 again",
    "RCPT": "250 2.1.5 go on\r\n250 2.1.5 again",
    "DATA": "354 go on\r\n250 2.6.0 taken",
    "end": "250 2.6.0 taken\r\n250 2.6.0 again",
    "end, and 421": "250 2.6.0 taken\r\n421 4.4.2 you idle",
}

TWICE_CASES = [
    (host, command)
    for host in HOSTS
    for command in TWICE
    if command.partition(",")[0] in asked(host)
]


@pytest.mark.parametrize("host, command", TWICE_CASES)
def test_a_reply_that_nobody_asked_for(host, command, world, rude):
    # What follows the reply to EHLO in the same segment libcurl throws away.
    unnoticed = command in ("EHLO", "HELO")
    host = rude(world.host, world.port, offers=HOSTS[host])
    where = command.partition(",")[0]
    host.says[where] = TWICE[command] if where in OF_CONNECTION else once(TWICE[command])
    outcomes = drain(world, host)
    assert len(outcomes[DEFERRED]) == (0 if unnoticed or where == "end" else concerned(command, "twice"))
    for why in outcomes[DEFERRED].values():
        assert "unasked" in why or "the host broke SMTP" in why
    goes_later(world, host, outcomes)


TO_RSET = {reply: said for reply, (said, *_) in REPLIES.items()}
TO_RSET |= {"usual": None, "twice": "250 2.0.0 forgotten\r\n250 again"}


@pytest.mark.parametrize("said", TO_RSET.values(), ids=TO_RSET.keys())
@pytest.mark.parametrize("host", HOSTS)
def test_between_messages(host, said, world, rude):
    """A message for nobody is followed by RSET; what comes of that is nothing to the next message."""
    # A message in one flight says it, too: before it where it is begun behind another one, and to be sure after it.
    in_flights = host == "BDAT pipelined"
    host = rude(world.host, world.port, offers=HOSTS[host], says={"RCPT": once(NEVER, 2), "RSET": once(said)})
    outcomes = drain(world, host)
    assert (len(outcomes[FAILED]), len(outcomes[DELIVERED])) == (2, 4)
    assert host.commands.count("RSET") == 1 or in_flights
    assert host.connections == (2 if said else 1), "a connection that is not in step is left"
    goes_later(world, host, outcomes)


# --- Amid the message


LARGE = message("large", body="x" * 70 + "\r\n" + ("y" * 998 + "\r\n") * 16000)


@pytest.mark.parametrize("host", ["EHLO", "PIPELINING", "BDAT", "BDAT pipelined"])
@pytest.mark.parametrize("reply", REPLIES)
def test_amid_a_large_message(host, reply, world, rude, monkeypatch):
    monkeypatch.setitem(SENT, "large", LARGE)
    said, kind, reason = REPLIES[reply]
    host = rude(world.host, world.port, offers=HOSTS[host], says={"amid": said})
    world.submit("large.eml", envelope_block("app@local.example", world.ann) + LARGE)
    world.run("pickup-drain")
    assert not host.taken
    outcomes = {DELIVERED: {}, DEFERRED: waiting(world), FAILED: returned(world)}
    (why,) = outcomes[kind].values()
    assert reason in why
    goes_later(world, host, outcomes)


# --- No reply at all

SILENT = {
    "greeting": "timed out before the greeting came",
    "EHLO": "timed out before the reply to EHLO came",
    "MAIL": "timed out before the reply to MAIL FROM",
    "RCPT": "timed out before the reply to RCPT TO",
    "DATA": "timed out before the reply to DATA",
    "end": "timed out after the message was sent, a duplicate is possible",
}


def test_no_host_is_waited_for_without_end(world, rude, loopback, workspace):
    """One host for each command to fall silent at; the longest wait is ten minutes."""
    silent = []
    hosts = []
    for number, command in enumerate(SILENT):
        address = loopback.host(20 + number)
        hosts.append(rude(address, world.port, says={command: lambda session, c=command: silent.append(c) or SILENCE}))
        block = envelope_block("app@local.example", f"{command}@[{address}]")
        world.submit(f"{command}.eml", block + message(command))
    clock = workspace / "clock"
    set_clock(clock, "+0")
    serve = world.serve(under=with_clock(clock, steady=False))
    wait_for(lambda: len(silent) == len(SILENT), "all to be silent")
    set_clock(clock, "+11m")
    # Looks at the clock now, not when the wait would end by the true one.
    world.submit("x.eml", envelope_block("app@local.example", "ann@local.example") + message())
    wait_for(lambda: len(world.files("Queue", "*.json")) == len(SILENT), "all to be deferred")
    assert {subject: reason for (subject, _), reason in waiting(world).items()} == SILENT
    assert serve.stop() == 0
    for host in hosts:
        host.says.clear()
    assert world.run("queue-retry", "--all").returncode == 0
    assert [len(host.taken) for host in hosts] == [1] * len(SILENT)


# --- Hosts that are difficult, not rude


def dribbling(session):
    """Octet by octet from now on."""
    send = session.connection.sendall

    def write(octets):
        for n in range(len(octets)):
            send(octets[n : n + 1])

    session.wfile.write = write


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_speaks_octet_by_octet(host, world, rude):
    host = rude(world.host, world.port, offers=HOSTS[host], says={"greeting": dribbling})
    assert len(drain(world, host)[DELIVERED]) == 6


def test_a_host_that_allows_two_connections(world, rude):
    """Others are turned away with a 421."""
    turned_away = []

    def greeting(session):
        if session.server.open <= 2:
            return None
        turned_away.append(session)
        return "421 4.7.0 too many connections"

    host = rude(world.host, world.port, says={"greeting": greeting})
    world.configure(delivery={"connectionsPerDomain": 10, "messagesPerConnection": 3, "retry": ["1s"]})
    for number in range(20):
        world.submit(f"{number}.eml", envelope_block("app@local.example", f"{number}@[{world.host}]") + message())
    world.serve()
    world.wait_idle()
    assert Counter(taken.recipients[0] for taken in host.taken) == {f"{n}@[{world.host}]": 1 for n in range(20)}
    assert not world.files("Drop") and not world.files("Badmail")
    assert turned_away


@pytest.mark.parametrize("host", HOSTS)
def test_greylisting(host, world, rude):
    """The first RCPT of a client, a sender and a recipient is put off."""
    seen = set()

    def rcpt(session):
        triplet = session.client_address[0], session.sender, session.recipient
        if triplet in seen:
            return None
        seen.add(triplet)
        return "450 4.2.0 greylisted"

    host = rude(world.host, world.port, offers=HOSTS[host], says={"RCPT": rcpt})
    for number, sender in enumerate(["app@local.example", "job@local.example", "app@local.example"]):
        content = SENT[SUBJECTS[number]]
        world.submit(f"{number}.eml", envelope_block(sender, world.ann, world.bob) + content)
    world.configure(delivery={"retry": ["1s"]})
    world.serve()
    wait_for(lambda: len(host.taken) >= 3, "all to be taken")
    world.wait_idle()
    assert arrived(host) == {(subject, recipient): 1 for subject in SUBJECTS for recipient in (world.ann, world.bob)}
    assert not world.files("Drop") and not world.files("Badmail")


@pytest.mark.parametrize("host", HOSTS)
def test_eight_bit_mail_goes_as_it_is(host, world, rude):
    offers = HOSTS[host]
    host = rude(world.host, world.port, offers=offers)
    sent = message("one", body="Grüße, 8 bit.\r\n") + bytes(range(128, 256)) + b"\r\n"
    world.submit("x.eml", envelope_block("app@local.example", world.ann) + sent)
    world.run("pickup-drain")
    (taken,) = host.taken
    assert without_trace(taken.content) == sent
    assert ("BODY=8BITMIME" in taken.options) == ("8BITMIME" in (offers or []))
