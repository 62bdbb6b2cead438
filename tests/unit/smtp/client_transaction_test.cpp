#include "smtp/client_transaction.hpp"

#include "message/dot_stuffing.hpp"
#include "smtp/dialogue.hpp"
#include "smtp/reply_parser.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <sstream>

using namespace mailroot;
using smtp::ClientTransaction;
using Finished = ClientTransaction::Finished;

namespace {

const std::string k_message = "Subject: hello\r\n\r\n.dot\r\n";
constexpr auto k_never = std::numeric_limits<std::size_t>::max();

std::string name_of(Verdict::Kind kind) {
    if (kind == Verdict::Kind::delivered) return "delivered";
    return kind == Verdict::Kind::deferred ? "deferred" : "failed";
}

std::string brief(const Verdict& verdict) {
    return name_of(verdict.kind) + " " + std::to_string(verdict.reply.code);
}

/// What the options of a dialogue ask for.
struct Plan {
    Envelope envelope;
    smtp::Extensions offered;
    std::vector<std::string> verdicts;
    bool usable = true;
    bool lacks_chunking = false;
    ClientTransaction::Host footing = ClientTransaction::Host::known;

    explicit Plan(const Dialogue& dialogue) {
        envelope.reverse_path = {"s", "c.example"};
        for (const auto& option : dialogue.options) {
            std::istringstream words(option);
            std::string name, value;
            words >> name >> value;
            take(name, value, words);
        }
    }

    void take(const std::string& name, const std::string& value, std::istringstream& rest) {
        if (name == "pipelining")
            offered.pipelining = true;
        else if (name == "8bitmime")
            offered.eight_bit_mime = true;
        else if (name == "chunking")
            offered.chunking = true;
        else if (name == "binarymime")
            offered.binary_mime = true;
        else if (name == "smtputf8")
            offered.smtp_utf8 = true;
        else if (name == "utf8")
            envelope.utf8 = true;
        else if (name == "dsn")
            offered.dsn = true;
        else if (name == "size")
            offered.size = true, offered.size_limit = std::stoull(value);
        else if (name == "from")
            envelope.reverse_path = parse_address(value).value_or(Address{});
        else if (name == "body")
            envelope.body = value == "8bitmime" ? Body::eight_bit_mime : Body::binary_mime;
        else if (name == "ret")
            envelope.ret = value;
        else if (name == "envid")
            envelope.envid = value;
        else if (name == "rcpt")
            take_recipient(value, rest);
        else if (name == "usable")
            usable = value == "yes";
        else if (name == "stranger")
            footing = ClientTransaction::Host::unknown;
        else if (name == "busy")
            footing = ClientTransaction::Host::busy;
        else if (name == "lacks-chunking")
            lacks_chunking = value == "yes";
        else if (name == "verdict") {
            std::string code;
            rest >> code;
            verdicts.push_back(value + " " + code);
        } else
            FAIL("no such option: " << name);
    }

    void take_recipient(const std::string& address, std::istringstream& rest) {
        Recipient recipient{parse_address(address).value(), "", ""};
        for (std::string parameter; rest >> parameter;) {
            const auto value = parameter.substr(parameter.find('=') + 1);
            (parameter.starts_with("NOTIFY=") ? recipient.notify : recipient.orcpt) = value;
        }
        envelope.recipients.push_back(recipient);
    }
};

/// Where the connection breaks: after so many octets of one side.
struct Break {
    std::size_t client = k_never;
    std::size_t server = k_never;
};

/// Plays the server's part, and the driver's, over a connection that may break.
class Player {
 public:
    Player(const Dialogue& dialogue, const Plan& plan, Break at)
        : dialogue_(dialogue),
          at_(at),
          transaction_(plan.envelope, plan.offered, k_message.size(), "mx.example", plan.footing) {}

    Finished play() {
        auto step = transaction_.next();
        for (int steps = 0; !std::holds_alternative<Finished>(step); ++steps) {
            REQUIRE(steps < 200);
            step = perform(step);
        }
        if (!broken_) CHECK(line_ == dialogue_.lines.size());
        return std::get<Finished>(step);
    }

    bool message_sent = false;  ///< its final dot included
    [[nodiscard]] bool was_confirming() const { return transaction_.is_confirming(); }

    bool all_heard = false;  ///< every octet that the server has in the dialogue

 private:
    ClientTransaction::Step perform(const ClientTransaction::Step& step) {
        if (const auto* commands = std::get_if<ClientTransaction::Send>(&step))
            return send(commands->octets);
        if (std::holds_alternative<ClientTransaction::ReadReply>(step)) return read();
        const auto& order = std::get<ClientTransaction::SendMessage>(step);
        if (order.replies_follow && replies_.holds_octets()) {
            return transaction_.interrupted("the host spoke unasked");
        }
        auto wire = order.commands;
        if (order.chunk) {
            wire += k_message;
        } else {
            message::DotStuffer stuffer;
            stuffer.feed(k_message, wire);
            stuffer.finish(wire);
        }
        const auto expected = client_flight();
        if (wire.size() > expected.size() && !broken_) {  // the server speaks amid the message
            CHECK(wire.starts_with(expected));
            deliver(expected);
            return amid_message();
        }
        if (!broken_) CHECK(wire == expected);
        message_sent = deliver(wire);
        return message_sent ? transaction_.next() : amid_message();
    }

    ClientTransaction::Step amid_message() {
        const auto early = replies_.next();
        if (early && *early) return transaction_.answered_early(**early);
        return transaction_.interrupted("connection lost");
    }

    ClientTransaction::Step send(const std::string& octets) {
        if (replies_.holds_octets()) return transaction_.interrupted("the host spoke unasked");
        if (!broken_) CHECK(octets == client_flight());
        if (deliver(octets) || replies_.holds_octets()) return transaction_.next();
        return transaction_.interrupted("connection lost");
    }

    ClientTransaction::Step read() {
        const auto reply = replies_.next();
        if (!reply) return transaction_.interrupted(reply.error().what);
        if (*reply) return transaction_.resume(**reply);
        REQUIRE_MESSAGE(broken_, "waits for a reply that never comes");
        return transaction_.interrupted("connection closed by the host");
    }

    std::string client_flight() {
        std::string octets;
        while (line_ < dialogue_.lines.size() &&
               dialogue_.lines[line_].side == Dialogue::Side::client)
            octets += dialogue_.lines[line_++].octets;
        return octets;
    }

    /// Sends what the break lets through, and has the server answer if it was all.
    bool deliver(const std::string& octets) {
        sent_ += octets.size();
        if (sent_ > at_.client) broken_ = true;
        if (broken_) return false;
        while (line_ < dialogue_.lines.size() &&
               dialogue_.lines[line_].side == Dialogue::Side::server && !broken_)
            answer(dialogue_.lines[line_++]);
        return true;
    }

    void answer(const Dialogue::Line& line) {
        const auto octets = line.octets.substr(0, at_.server - said_);
        said_ += octets.size();
        replies_.feed(octets);
        if (octets.size() < line.octets.size() || said_ == at_.server || line.end) broken_ = true;
        all_heard = said_ == total(dialogue_, Dialogue::Side::server);
    }

 public:
    static std::size_t total(const Dialogue& dialogue, Dialogue::Side side) {
        std::size_t octets = 0;
        for (const auto& line : dialogue.lines)
            octets += line.side == side ? line.octets.size() : 0;
        return octets;
    }

 private:
    const Dialogue& dialogue_;
    const Break at_;
    ClientTransaction transaction_;
    smtp::ReplyParser replies_;
    std::size_t line_ = 0;
    std::size_t sent_ = 0;
    std::size_t said_ = 0;
    bool broken_ = false;
};

void check_broken(const Dialogue& dialogue, const Plan& plan, Break at) {
    CAPTURE(at.client);
    CAPTURE(at.server);
    Player player(dialogue, plan, at);
    const auto finished = player.play();
    REQUIRE(finished.verdicts.size() == plan.verdicts.size());
    for (std::size_t i = 0; i < plan.verdicts.size(); ++i) {
        const auto& verdict = finished.verdicts[i];
        CAPTURE(i);
        CAPTURE(verdict.reply.text());
        if (player.all_heard) {
            CHECK(brief(verdict) == plan.verdicts[i]);
            continue;
        }
        // What was said of the message stays said where nothing is said against it.
        if (player.was_confirming()) {
            CHECK((brief(verdict) == plan.verdicts[i] || brief(verdict) == "delivered 250"));
            continue;
        }
        // RFC 5321 4.5.3: what was said whole stays said; the rest is tried again.
        CHECK(verdict.kind != Verdict::Kind::delivered);
        CHECK((brief(verdict) == plan.verdicts[i] || brief(verdict) == "deferred 0"));
        if (brief(verdict) != "deferred 0") continue;
        const bool doubt = verdict.reply.text().find("duplicate") != std::string::npos;
        CHECK(doubt == player.message_sent);
    }
}

/// The octets of one side before, amid and after each of its lines.
std::vector<std::size_t> places(const Dialogue& dialogue, Dialogue::Side side) {
    std::vector<std::size_t> places;
    std::size_t before = 0;
    for (const auto& line : dialogue.lines) {
        if (line.side != side) continue;
        for (const auto part : {std::size_t{0}, line.octets.size() / 2, line.octets.size() - 1})
            if (!line.end) places.push_back(before + part);
        before += line.octets.size();
    }
    places.push_back(before);
    return places;
}

}  // namespace

TEST_CASE("a dialogue ends with the verdicts that it says") {
    for (const auto& file : dialogues("client")) {
        CAPTURE(file);
        const auto dialogue = read_dialogue(file);
        const Plan plan(dialogue);
        const auto finished = Player(dialogue, plan, {}).play();
        REQUIRE(finished.verdicts.size() == plan.verdicts.size());
        for (std::size_t i = 0; i < plan.verdicts.size(); ++i) {
            CHECK(brief(finished.verdicts[i]) == plan.verdicts[i]);
            CHECK(finished.verdicts[i].host == "mx.example");
            const bool delivered = finished.verdicts[i].kind == Verdict::Kind::delivered;
            CHECK(finished.verdicts[i].reported_there == (delivered && plan.offered.dsn));
        }
        CHECK(finished.usable == plan.usable);
        CHECK(finished.lacks_chunking == plan.lacks_chunking);
    }
}

TEST_CASE("wherever the connection breaks, each recipient has one verdict and none is made up") {
    for (const auto& file : dialogues("client")) {
        CAPTURE(file);
        const auto dialogue = read_dialogue(file);
        const Plan plan(dialogue);
        for (const auto place : places(dialogue, Dialogue::Side::client))
            check_broken(dialogue, plan, {place, k_never});
        for (const auto place : places(dialogue, Dialogue::Side::server))
            check_broken(dialogue, plan, {k_never, place});
    }
}

TEST_CASE("a message that cannot be read defers in its own words and ends the connection") {
    Envelope envelope;
    envelope.recipients = {{{"a", "b.example"}, "", ""}, {{"none", "b.example"}, "", ""}};
    ClientTransaction transaction(envelope, {}, 10, "mx.example");
    transaction.next();
    for (const int code : {250, 250, 550, 354}) {
        transaction.next();
        transaction.resume(reply(code, "", "x"));
    }
    const auto finished = transaction.unreadable("Queue/1.eml: input/output error");
    CHECK_FALSE(finished.usable);
    REQUIRE(finished.verdicts.size() == 2);
    CHECK(brief(finished.verdicts[0]) == "deferred 0");
    CHECK(finished.verdicts[0].reply.text() == "Queue/1.eml: input/output error");
    CHECK(finished.verdicts[0].host.empty());
    CHECK(brief(finished.verdicts[1]) == "failed 550");
}

TEST_CASE("a message that was not sent whole is taken by nobody") {
    Envelope envelope;
    envelope.recipients = {{{"a", "b.example"}, "", ""}, {{"none", "b.example"}, "", ""}};
    ClientTransaction transaction(envelope, {.pipelining = true, .chunking = true}, 10,
                                  "mx.example");
    CHECK(std::holds_alternative<ClientTransaction::SendMessage>(transaction.next()));
    transaction.read_on();
    for (const int code : {250, 250, 550}) transaction.resume(reply(code, "", "x"));
    const auto finished = std::get<Finished>(transaction.resume(reply(250, "", "taken")));
    CHECK_FALSE(finished.usable);
    REQUIRE(finished.verdicts.size() == 2);
    CHECK(brief(finished.verdicts[0]) == "deferred 0");
    CHECK(brief(finished.verdicts[1]) == "failed 550");
}

TEST_CASE("a parameter's value cannot end the line or add another parameter") {
    for (const std::string value : {"a b", "a\r\nRSET", "a=b", "\x7f", "\xc3\xa9", ""}) {
        CAPTURE(value);
        Envelope envelope;
        envelope.reverse_path = {"s", "c.example"};
        envelope.envid = value;
        envelope.recipients = {{{"a", "b.example"}, "", ""}};
        ClientTransaction transaction(envelope, {.dsn = true}, 10, "mx.example");
        const auto step = transaction.next();
        CHECK(std::get<ClientTransaction::Send>(step).octets == "MAIL FROM:<s@c.example>\r\n");
    }
}
