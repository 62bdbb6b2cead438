#include "message/pickup_message.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

using namespace mailroot;
using namespace mailroot::message;

namespace {

constexpr std::size_t k_whole = std::string::npos;

/// Calls `take` with portions of `size` octets.
template <class Take>
void in_portions(std::string_view file, std::size_t size, Take take) {
    for (; !file.empty(); file.remove_prefix(std::min(size, file.size())))
        take(file.substr(0, size));
}

Result<PickupMessage> scanned(std::string_view file, const PickupRules& rules = {},
                              std::size_t portion = k_whole) {
    PickupScanner scanner(rules);
    Result<void> fed;
    in_portions(file, portion, [&](std::string_view octets) {
        if (fed) fed = scanner.feed(octets);
    });
    if (!fed) return fail(std::move(fed));
    return scanner.finish();
}

std::string canonical(std::string_view file, const PickupMessage& message,
                      std::size_t portion = k_whole) {
    PickupCanonicalizer canonicalizer(message);
    std::string out;
    in_portions(file, portion, [&](auto octets) { canonicalizer.feed(octets, out); });
    canonicalizer.finish(out);
    return out;
}

/// The canonical message, or the error in brackets.
std::string read(std::string_view file, const PickupRules& rules = {}) {
    const auto message = scanned(file, rules);
    if (!message) return '[' + message.error().what + ']';
    auto text = canonical(file, *message);
    CHECK(text.size() == message->size);
    return text;
}

std::string refusal(std::string_view file, const PickupRules& rules = {}) {
    const auto message = scanned(file, rules);
    return message ? "none" : message.error().what;
}

/// `sender > recipient recipient`.
std::string envelope_text(const Envelope& envelope) {
    std::string text = '<' + envelope.reverse_path.text() + "> >";
    for (const auto& recipient : envelope.recipients) text += ' ' + recipient.address.text();
    return text;
}

std::string envelope_of(std::string_view file, const PickupRules& rules = {}) {
    const auto message = scanned(file, rules);
    return message ? envelope_text(message->envelope) : message.error().what;
}

std::string sample(const std::string& name) {
    std::ifstream file(std::string(MAILROOT_TESTS) + "/samples/" + name, std::ios::binary);
    REQUIRE(file);
    return {std::istreambuf_iterator<char>(file), {}};
}

const std::string k_block = "x-sender: s@x.org\r\nx-receiver: r@y.org\r\n";
const std::string k_fields = "From: s@x.org\r\nTo: r@y.org\r\n";

}  // namespace

TEST_CASE("files of .NET and Mono give the envelope that their writer meant") {
    struct Row {
        std::string name, envelope;
        std::size_t recipients, block;
        int dots;  ///< that the writer put on
    };
    const std::string net = "pickup-dotnet/";
    const std::string mono = "pickup-mono/";
    for (const auto& row : {
             Row{net + "01-plain-dots.eml", "<sender@example.com> > rcpt1@example.net", 1, 61, 0},
             Row{net + "03-alt-attachments.eml", "<sender@example.com> > rcpt1@example.net", 1, 61,
                 2},
             Row{net + "05-bcc-only.eml", "<sender@example.com> > only-bcc@example.net", 1, 64, 0},
             Row{net + "06-120-recipients.eml", "", 120, 3640, 0},
             Row{net + "08-user-x-sender.eml",
                 "<override@example.com> > rcpt1@example.net ignored@example.net", 2, 96, 0},
             Row{mono + "4685f051-b5d1-4d35-957b-5538912744f7.eml",
                 "<sender@example.com> > rcpt1@example.net", 1, 0, 0},
             Row{mono + "5c928eea-c3bd-4404-871d-6507f2850cce.eml",
                 "<sender@example.com> > rcpt1@example.net", 1, 0, 0},
         }) {
        CAPTURE(row.name);
        auto file = sample(row.name);
        const auto message = scanned(file);
        REQUIRE(message);
        CHECK(message->envelope.recipients.size() == row.recipients);
        if (!row.envelope.empty()) CHECK(envelope_text(message->envelope) == row.envelope);
        CHECK(message->has_date);
        CHECK_FALSE(message->has_message_id);
        CHECK(message->unstuff == (row.dots > 0));
        CHECK(message->envelope.body == Body::seven_bit);
        const auto text = canonical(file, *message);
        CHECK(text.size() == message->size);
        // Block and dots are all that these writers leave for us to take away.
        for (int dots = row.dots; dots > 0; --dots) file.erase(file.find("\n..") + 1, 1);
        CHECK(text == file.substr(row.block));
    }
}

TEST_CASE("no portion changes what a file gives") {
    std::vector<std::string> files{
        k_block + ".X: 1\rBcc: b@y.org\n\tc@y.org\n\n.\n..a\r\r\n\n.\r\n\r\n",
        "\xef\xbb\xbf" + k_fields + "no field\n.",
        k_fields + "Bad" + '\0' + ": 1\r\n",
        k_fields + std::string(1 << 20, 'x') + ": a\r\n\r\n",
        "\xff\xfe",
        "",
        "F",
    };
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(std::string(MAILROOT_TESTS) + "/samples")) {
        if (entry.path().extension() == ".eml")
            files.push_back(sample(
                std::filesystem::relative(entry.path(), std::string(MAILROOT_TESTS) + "/samples")));
    }
    CHECK(files.size() >= 14);
    for (const auto& file : files) {
        const auto whole = scanned(file, {.max_size = 5000, .default_domain = ""});
        for (const std::size_t portion : {1, 7}) {
            CAPTURE(file.substr(0, 200));
            CAPTURE(portion);
            const auto message = scanned(file, {.max_size = 5000, .default_domain = ""}, portion);
            REQUIRE(message.has_value() == whole.has_value());
            if (!whole) {
                CHECK(message.error().what == whole.error().what);
                continue;
            }
            CHECK(envelope_text(message->envelope) == envelope_text(whole->envelope));
            CHECK(message->size == whole->size);
            CHECK(message->unstuff == whole->unstuff);
            CHECK(canonical(file, *message, portion) == canonical(file, *whole));
        }
    }
}

TEST_CASE("sender and recipients come from the block, else from the header") {
    struct Row {
        std::string file, envelope;
    };
    for (const auto& row : {
             Row{k_block + "From: a@x.org\nTo: b@x.org\n", "<s@x.org> > r@y.org"},
             Row{"x-sender: <>\nx-receiver: <r@y.org>\n\n", "<> > r@y.org"},
             Row{"X-Sender: s@x.org\nFrom: a@x.org\nTo: b@x.org\n", "<s@x.org> > b@x.org"},
             Row{"X-Receiver: r@y.org\nFrom: a@x.org\nTo: b@x.org\n", "<a@x.org> > r@y.org"},
             Row{"From: a@x.org\nSender: \"S\" <s@x.org>\nTo: b@x.org\n", "<s@x.org> > b@x.org"},
             Row{"From: a@x.org, b@x.org\nTo: c@x.org\n", "<a@x.org> > c@x.org"},
             Row{"Sender: \nFrom: a@x.org\nTo: b@x.org\n", "<a@x.org> > b@x.org"},
             Row{"From: a@x.org\nResent-From: q@x.org\nSender: s@x.org\nTo: b@x.org\n",
                 "<q@x.org> > b@x.org"},
             Row{"Resent-From: q@x.org\nResent-Sender: p@x.org\nTo: b@x.org\n",
                 "<p@x.org> > b@x.org"},
             Row{"From: a@x.org\nBcc: d@x.org\nCc: c@x.org\nTo: b@x.org,\n e@x.org\n",
                 "<a@x.org> > b@x.org e@x.org c@x.org d@x.org"},
             Row{"From: a@x.org\nTo: b@x.org\nResent-Bcc: q@x.org\nResent-To: p@x.org\n",
                 "<a@x.org> > p@x.org q@x.org"},
             Row{"From: a@x.org\nTo: b@x.org, c@x.org\nTo: d@x.org\nCc: b@X.ORG, B@x.org\n",
                 "<a@x.org> > b@x.org c@x.org d@x.org B@x.org"},
             Row{"From: root\nTo: postmaster\nCc: postmaster@example.com\n",
                 "<root@example.com> > postmaster@example.com"},
             Row{"x-sender: root\nx-receiver: a\nx-receiver: a@example.com\n\n",
                 "<root@example.com> > a@example.com"},
         }) {
        CAPTURE(row.file);
        CHECK(envelope_of(row.file, {.default_domain = "example.com"}) == row.envelope);
    }
}

TEST_CASE("parameters and settled recipients of the block are kept") {
    const auto message = scanned(
        "x-sender: <s@x.org> BODY=8BITMIME RET=HDRS ENVID=q\n"
        "x-received: <a@x.org>\nx-receiver: <b@x.org> NOTIFY=NEVER\n\n");
    REQUIRE(message);
    CHECK(message->envelope.ret == "HDRS");
    CHECK(message->envelope.envid == "q");
    CHECK(message->envelope.body == Body::eight_bit_mime);
    REQUIRE(message->envelope.recipients.size() == 2);
    CHECK(message->envelope.recipients[0].settled);
    CHECK(message->envelope.recipients[1].notify == "NEVER");
}

TEST_CASE("what is no mail is refused with its line as an editor shows it") {
    const std::string utf16 = std::string("F\0r\0o\0m\0", 8);
    struct Row {
        std::string file, what;
    };
    for (const auto& row : {
             Row{"", "line 1: not a header field"},
             Row{"\r\n" + k_fields, "line 1: not a header field"},
             Row{"hello\r\n", "line 1: not a header field"},
             Row{"From bob Tue Nov 24 01:48:12 2026\n" + k_fields, "line 1: not a header field"},
             Row{" From: a@x.org\n", "line 1: not a header field"},
             Row{"To: a@x.org\nSubject: s\n\nbody\n",
                 "line 2: no sender: neither x-sender nor Sender nor From"},
             Row{"x-receiver: a@x.org\r\n\r\nbody",
                 "line 1: no sender: neither x-sender nor Sender nor From"},
             Row{"From: a@x.org\rSubject: s\r\rbody",
                 "line 2: no recipient: neither x-receiver nor To nor Cc nor Bcc"},
             Row{"From: a@x.org\nTo: undisclosed-recipients:;\n",
                 "line 2: no recipient: neither x-receiver nor To nor Cc nor Bcc"},
             Row{"\xff\xfe" + utf16, "line 1: the file is UTF-16, mail is ASCII or UTF-8"},
             Row{"\xfe\xff", "line 1: the file is UTF-16, mail is ASCII or UTF-8"},
             Row{utf16, "line 1: the file is UTF-16, mail is ASCII or UTF-8"},
             Row{'\0' + utf16, "line 1: the file is UTF-16, mail is ASCII or UTF-8"},
             Row{k_block + "Subject: a\r\n b" + '\0' + "c\r\n\r\n", "line 4: NUL in the header"},
             Row{k_block + "Subject: a\n" + '\0', "line 4: NUL in the header"},
             Row{k_fields + "X: " + std::string(1 << 20, 'x') + "\r\n\r\n",
                 "line 3: header larger than 1 MiB"},
         }) {
        CAPTURE(row.file.substr(0, 200));
        CHECK(refusal(row.file) == row.what);
        const auto message = scanned(row.file);
        if (!message) CHECK(message.error().kind == Error::Kind::parse);
    }
    CHECK(refusal("x-sender: s@x.org\r\nSubject: s\r\nTo: b@y.org,\r\n <@@>\r\n\r\n")
              .starts_with("line 3: To: "));
    CHECK(refusal("x-sender: s@x.org\nx-receiver: <a b>\n\n").starts_with("line 2: "));
}

TEST_CASE("a header of just under 1 MiB is read") {
    CHECK(refusal(k_block + "X: " + std::string((1 << 20) - 100, 'x') + "\r\n\r\nbody") == "none");
}

TEST_CASE("the message is what stands behind the block, with CRLF and a blank line") {
    struct Row {
        std::string file, message;
    };
    for (const auto& row : {
             Row{k_block + "A: 1\n\nbody\n", "A: 1\r\n\r\nbody\r\n"},
             Row{k_block + "A: 1\n\nbody", "A: 1\r\n\r\nbody\r\n"},
             Row{k_block + "A: 1\r\rbody\r\r", "A: 1\r\n\r\nbody\r\n\r\n"},
             Row{k_block + "A: 1\r\n\r\na\r\r\nb\n\rc", "A: 1\r\n\r\na\r\n\r\nb\r\n\r\nc\r\n"},
             Row{k_block + "A: 1", "A: 1\r\n\r\n"},
             Row{k_block + "A: 1\n", "A: 1\r\n\r\n"},
             Row{k_block + "A: 1\n\n", "A: 1\r\n\r\n"},
             Row{k_block + "A: 1\nno field\nB: 2\n", "A: 1\r\n\r\nno field\r\nB: 2\r\n"},
             Row{k_block + "\nbody", "\r\nbody\r\n"},
             Row{k_block + "body", "\r\nbody\r\n"},
             Row{k_block, "\r\n"},
             Row{"\xef\xbb\xbf" + k_block + "A: 1\n\nb", "A: 1\r\n\r\nb\r\n"},
             Row{k_block + "A: 1\nx-sender: z@x.org\n\nx-receiver: q@x.org\n",
                 "A: 1\r\nx-sender: z@x.org\r\n\r\nx-receiver: q@x.org\r\n"},
             Row{k_block +
                     "Bcc: b@x.org,\r\n\tc@x.org\r\nA: 1\r\nresent-bcc: d@x.org\r\n\r\nBcc: e",
                 "A: 1\r\n\r\nBcc: e\r\n"},
             Row{k_block + "A: 1\n\nnul " + '\0' + "\n",
                 std::string("A: 1\r\n\r\nnul ") + '\0' + "\r\n"},
             Row{k_block + "A: " + std::string(5000, 'x') + "\n\n" + std::string(5000, 'y'),
                 "A: " + std::string(5000, 'x') + "\r\n\r\n" + std::string(5000, 'y') + "\r\n"},
         }) {
        CAPTURE(row.file);
        CHECK(read(row.file) == row.message);
    }
}

TEST_CASE("Bcc stays where it is asked for") {
    CHECK(read(k_block + "Bcc: b@x.org\nA: 1\n", {.keep_bcc = true, .default_domain = ""}) ==
          "Bcc: b@x.org\r\nA: 1\r\n\r\n");
}

TEST_CASE("dots are taken off where every dotted line shows that one was put on") {
    struct Row {
        std::string file;
        Dots dots;
        bool unstuff;
        std::string body;
    };
    const std::string ours = k_block + "Received: by h; now\n";
    const std::string theirs = k_block + "A: 1\n";
    for (const auto& row : {
             Row{theirs + "\n..a\n...\n", Dots::automatic, true, ".a\r\n..\r\n"},
             Row{theirs + "\n..a\n.b\n", Dots::automatic, false, "..a\r\n.b\r\n"},
             Row{theirs + "\n..a\n.\nb\n", Dots::automatic, false, "..a\r\n.\r\nb\r\n"},
             Row{theirs + "\n..a\n.\n\n\n", Dots::automatic, true, ".a\r\n\r\n\r\n"},
             Row{theirs + "\nlog\n\n.\n", Dots::automatic, true, "log\r\n\r\n"},
             Row{theirs + "\nlog\n\n.", Dots::automatic, true, "log\r\n\r\n"},
             Row{theirs + ".\n", Dots::automatic, true, ""},
             Row{theirs + "\n.\n.\n", Dots::automatic, false, ".\r\n.\r\n"},
             Row{theirs + "\n.\n\n.\n", Dots::automatic, false, ".\r\n\r\n.\r\n"},
             Row{theirs + "\n a.b\n..\n", Dots::automatic, true, " a.b\r\n.\r\n"},
             Row{theirs + "\nno dots\n", Dots::automatic, false, "no dots\r\n"},
             Row{theirs + ".X: 1\n\n..a\n", Dots::automatic, false, "..a\r\n"},
             Row{ours + "\n..a\nlog\n.\n", Dots::automatic, false, "..a\r\nlog\r\n.\r\n"},
             Row{k_fields + "\n..a\n", Dots::automatic, true, ".a\r\n"},
             Row{"Received: x\n" + k_fields + "\n..a\n", Dots::automatic, true, ".a\r\n"},
             Row{theirs + "\n..a\n.b\n.\nc\n.\n", Dots::unstuff, true, ".a\r\nb\r\n.\r\nc\r\n"},
             Row{ours + "\n..a\n", Dots::unstuff, true, ".a\r\n"},
             Row{theirs + "\nno dots\n", Dots::unstuff, true, "no dots\r\n"},
             Row{theirs + "\n..a\n.\n", Dots::raw, false, "..a\r\n.\r\n"},
         }) {
        CAPTURE(row.file);
        const PickupRules rules{.dots = row.dots, .default_domain = ""};
        const auto message = scanned(row.file, rules);
        REQUIRE(message);
        CHECK(message->unstuff == row.unstuff);
        const auto text = read(row.file, rules);
        CHECK(text.substr(text.find("\r\n\r\n") + 4) == row.body);
    }
}

TEST_CASE("a header line loses its dot like any other") {
    CHECK(read(k_block + "..X: 1\n\nbody\n") == ".X: 1\r\n\r\nbody\r\n");
}

TEST_CASE("the size limit counts the message and names the line that passes it") {
    const std::string file = k_block + "A: 1\n\n12345\n..\nabcde\n";  // 8 + 7 + 3 or 4 + 7
    struct Row {
        std::uint64_t limit;
        Dots dots;
        std::string what;
    };
    for (const auto& row : {
             Row{0, Dots::raw, "none"},
             Row{26, Dots::raw, "none"},
             Row{25, Dots::raw, "line 7: message larger than 25 octets"},
             Row{18, Dots::raw, "line 6: message larger than 18 octets"},
             Row{14, Dots::raw, "line 5: message larger than 14 octets"},
             Row{7, Dots::raw, "line 3: message larger than 7 octets"},
             Row{25, Dots::automatic, "none"},
             Row{24, Dots::automatic, "line 7: message larger than 24 octets"},
         }) {
        CAPTURE(row.limit);
        const PickupRules rules{.dots = row.dots, .max_size = row.limit, .default_domain = ""};
        CHECK(refusal(file, rules) == row.what);
        const auto in_octets = scanned(file, rules, 1);
        CHECK((in_octets ? "none" : in_octets.error().what) == row.what);
    }
    // 8 + 3 + 2 + 3 + 7: a dot that was held back counts as a line.
    CHECK(refusal(k_block + "A: 1\n\n.\n\nx\nabcde\n",
                  {.dots = Dots::raw, .max_size = 22, .default_domain = ""}) ==
          "line 8: message larger than 22 octets");
    // 8 + 4 + 4 + 7, two less unstuffed; that it is not unstuffed is known at the end.
    CHECK(refusal(k_block + "A: 1\n\n..\n.a\nabcde\n", {.max_size = 22, .default_domain = ""}) ==
          "line 7: message larger than 22 octets");
    PickupScanner scanner({.max_size = 100, .default_domain = ""});
    CHECK_FALSE(scanner.feed(k_block + "A: 1\n\n" + std::string(200, 'x')));
}

TEST_CASE("octets beyond ASCII and BODY= make it an 8-bit message") {
    struct Row {
        std::string file;
        Body body;
    };
    for (const auto& row : {
             Row{k_block + "A: 1\n\nb\n", Body::seven_bit},
             Row{k_block + "A: 1\n\n\xc3\xa9\n", Body::eight_bit_mime},
             Row{k_block + "A: \xc3\xa9\n\nb\n", Body::eight_bit_mime},
             Row{"x-sender: s@x.org BODY=8BITMIME\nx-receiver: r@y.org\n\nb", Body::eight_bit_mime},
             Row{"x-sender: s@x.org BODY=BINARYMIME\nx-receiver: r@y.org\n\nb",
                 Body::eight_bit_mime},
         }) {
        CAPTURE(row.file);
        const auto message = scanned(row.file);
        REQUIRE(message);
        CHECK(message->envelope.body == row.body);
    }
}

TEST_CASE("what a message has already is told") {
    const auto message = scanned(k_block + "received: a\nReceived: b\nDATE: x\nmessage-id: <y>\n");
    REQUIRE(message);
    CHECK(message->received_fields == 2);
    CHECK(message->has_date);
    CHECK(message->has_message_id);
    const auto bare = scanned(k_block + "\nReceived: b\nDate: x\nMessage-ID: y\n");
    REQUIRE(bare);
    CHECK(bare->received_fields == 0);
    CHECK_FALSE(bare->has_date);
    CHECK_FALSE(bare->has_message_id);
}

TEST_CASE("whatever a file holds, as many octets come as were announced, in lines with CRLF") {
    static constexpr std::string_view k_pieces[] = {
        "\r",   "\n",   "\r\n",          ".",     "..", "x",    "\r\n.\r\n",  "\n.\n",
        "A: 1", "B:",   "Bcc: b@x.org",  " fold", "\t", "\xc3", "Received: ", "\r\n..",
        "\r\n", "\r\n", "some more text"};
    std::mt19937 random(20261124);
    const auto below = [&](std::size_t end) { return random() % end; };
    int unstuffed = 0;
    for (int round = 0; round < 20'000; ++round) {
        std::string file = k_block + "A: 1";
        for (std::size_t left = below(25); left > 0; --left)
            file += k_pieces[below(std::size(k_pieces))];
        const PickupRules rules{
            .dots = static_cast<Dots>(below(3)), .keep_bcc = below(2) == 0, .default_domain = ""};
        CAPTURE(file);
        PickupScanner scanner(rules);
        for (std::size_t at = 0; at < file.size();) {
            const std::size_t portion = 1 + below(9);
            REQUIRE(scanner.feed(std::string_view(file).substr(at, portion)));
            at += portion;
        }
        const auto message = scanner.finish();
        REQUIRE(message);
        unstuffed += message->unstuff ? 1 : 0;
        const auto text = canonical(file, *message, 1 + below(9));
        REQUIRE(text.size() == message->size);
        REQUIRE(text == canonical(file, *message));
        REQUIRE(text.ends_with("\r\n"));
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '\r') REQUIRE(text.substr(i, 2) == "\r\n");
            if (text[i] == '\n') REQUIRE(text.substr(i - 1, 2) == "\r\n");
        }
        // The message is canonical already: it reads back as it is.
        REQUIRE(read(k_block + text, {.dots = Dots::raw, .keep_bcc = true, .default_domain = ""}) ==
                text);
    }
    CHECK(unstuffed > 1000);
}
