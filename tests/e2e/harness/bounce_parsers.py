"""What other people's programs read in a report: Sisimai, flufl.bounce and Mail::DeliveryStatus::BounceParser."""

import email
import json
import subprocess

import flufl.bounce

SISIMAI = r"""
use Sisimai;
print Sisimai->dump($ARGV[0], "delivered" => 1) // "[]";
"""

# Reports of success are told apart by is_bounce.
BOUNCE_PARSER = r"""
use JSON::PP;
use Mail::DeliveryStatus::BounceParser;
open my $file, "<", $ARGV[0] or die;
my $bounce = Mail::DeliveryStatus::BounceParser->new($file);
my @reports = map {
    my $report = $_;
    +{ map { $_ => scalar $report->get($_) } qw(email action status std_reason host smtp_code) }
} $bounce->reports;
print encode_json({ is_bounce => $bounce->is_bounce ? 1 : 0, reports => \@reports });
"""


def perl(script, path):
    done = subprocess.run(["perl", "-e", script, path], capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


def sisimai(path):
    """Recipient -> what Sisimai makes of it."""
    return {bounce["recipient"]: bounce for bounce in perl(SISIMAI, path)}


def flufl_bounce(octets):
    """Those who failed for now, and those who failed for good."""
    temporary, permanent = flufl.bounce.all_failures(email.message_from_bytes(octets))
    return {a.decode() for a in temporary}, {a.decode() for a in permanent}


def bounce_parser(path):
    """Whether it is a bounce, and recipient -> its fields."""
    found = perl(BOUNCE_PARSER, path)
    return bool(found["is_bounce"]), {r["email"]: r for r in found["reports"]}
