#include "smtp/server_session.hpp"

#include "smtp/dialogue.hpp"
#include "smtp/known_users.hpp"
#include "smtp/quiet_log.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>

using namespace mailroot;
using smtp::ServerOptions;
using smtp::ServerSession;
using namespace std::chrono_literals;

namespace {

Peer client() {
    Peer peer;
    peer.address = "192.0.2.9";
    return peer;
}

/// What the options of a dialogue ask for.
struct Setting {
    ServerOptions server;
    smtp::SessionTerms terms;
    Peer client;
    bool nothing_can_be_stored = false;
    std::string commit = "250 2.6.0 <1@mx.test> Queued mail for delivery";

    explicit Setting(const Dialogue& dialogue) {
        server.hostname = "mx.test";
        server.messages_per_connection = 0;
        client.address = "192.0.2.9";
        for (const auto& option : dialogue.options) {
            REQUIRE_MESSAGE((take_word(option) || take_limit(option)),
                            dialogue.file << ": option " << option);
        }
    }

 private:
    bool take_word(const std::string& option) {
        if (option == "storage full") {
            nothing_can_be_stored = true;
        } else if (option == "starttls") {
            terms.starttls = true;
        } else if (option == "require tls") {
            terms.require_tls = true;
        } else if (option == "encrypted") {
            client.tls_protocol = "TLSv1.3";
            client.tls_cipher = "TLS_AES_256_GCM_SHA384";
        } else if (option == "users") {
            terms.users = std::make_shared<smtp::Users>(*smtp::Users::parse(k_known_users));
        } else if (option == "plain auth") {
            server.auth_requires_tls = false;
        } else if (option == "etrn") {
            server.etrn = true;
        } else if (option == "turn") {
            server.turn = true;
        } else if (option == "bare newline reject") {
            server.bare_newline = smtp::BareNewline::reject;
        } else {
            return false;
        }
        return true;
    }

    bool take_limit(const std::string& option) {
        const std::map<std::string, std::uint64_t*> limits{
            {"recipients", &server.recipients},
            {"messages", &server.messages_per_connection},
            {"errors", &server.errors},
            {"unknown", &server.unknown_commands},
            {"idle_commands", &server.idle_commands},
            {"failures", &server.auth_failures},
            {"session_size", &server.session_size},
            {"size", &server.message_size},
        };
        const auto space = std::min(option.find(' '), option.size() - 1);
        const auto name = option.substr(0, space);
        const auto value = option.substr(space + 1);
        if (name == "commit") {
            commit = value;
        } else if (limits.contains(name)) {
            *limits.at(name) = std::stoull(value);
        } else {
            return false;
        }
        return true;
    }
};

Reply parsed_reply(const std::string& text) {
    return reply(std::stoi(text.substr(0, 3)), text.substr(4, 5), text.substr(10));
}

std::string shown(const char* name, const std::string& value) {
    return value.empty() ? "" : std::string(" ") + name + value;
}

/// Sender and recipients as the `stored` lines have them.
std::string shown(const Envelope& envelope, const Peer& client) {
    auto text = '<' + envelope.reverse_path.text() + '>';
    if (envelope.body == Body::eight_bit_mime) text += " 8bit";
    if (envelope.body == Body::binary_mime) text += " binary";
    if (envelope.utf8) text += " utf8";
    text += shown("ret=", envelope.ret) + shown("envid=", envelope.envid);
    text += shown("by ", client.user);
    for (const auto& recipient : envelope.recipients) {
        text += " <" + recipient.address.text() + '>' + shown("notify=", recipient.notify) +
                shown("orcpt=", recipient.orcpt);
    }
    return text;
}

/// Answers a session's steps: takes `*@here.test` and postmaster, relays for nobody but users, and
/// keeps what was stored. Its clock stands still but for pauses.
class Player {
 public:
    explicit Player(const Setting& setting)
        : setting_(setting), session_(setting.server, setting.terms, setting.client, log_, now_) {
        settle();
    }

    /// Hands the octets over in portions of `portion`.
    void feed(std::string_view octets, std::size_t portion = std::string::npos) {
        while (!octets.empty() && !closed) {
            fed += std::min(portion, octets.size());
            // A copy of its own each, so that a view kept too long is found.
            const std::string own(octets.substr(0, portion));
            octets.remove_prefix(own.size());
            session_.feed(own);
            settle();
        }
    }

    void happen(const std::string& event) {
        if (event == "encrypted") {
            REQUIRE(wants_tls_);
            wants_tls_ = false;
            session_.tls_started("TLSv1.3", "TLS_AES_256_GCM_SHA384");
            return settle();
        }
        const std::map<std::string, void (ServerSession::*)()> events{
            {"time out", &ServerSession::time_out},
            {"stop", &ServerSession::stop},
            {"disconnect", &ServerSession::disconnected},
        };
        REQUIRE_MESSAGE(events.contains(event), "no event " << event);
        (session_.*events.at(event))();
        settle();
    }

    std::string said;  ///< since last looked at
    int sends = 0;     ///< likewise
    bool closed = false;
    std::size_t fed = 0;              ///< octets of the client in all
    std::vector<std::string> stored;  ///< as the `stored` lines have it
    std::vector<std::size_t> stored_at;

 private:
    void settle() {
        for (bool go_on = true; go_on && !closed;) {
            auto step = session_.next(now_);
            go_on = std::visit([this](auto& s) { return take(s); }, step);
        }
    }

    bool take(smtp::step::Receive&) { return false; }
    bool take(smtp::step::Send& send) {
        CHECK_FALSE(send.octets.empty());
        said += send.octets;
        ++sends;
        return true;
    }
    bool take(smtp::step::StartTls&) {
        wants_tls_ = true;
        return false;
    }
    bool take(smtp::step::CheckPassword& check) {
        session_.password_checked(check.password == "secret");
        return true;
    }
    bool take(smtp::step::Pause& pause) {
        CHECK(pause.time == setting_.server.auth_failure_delay);
        now_ += pause.time;
        return true;
    }
    bool take(smtp::step::CheckSender& check) {
        const auto& path = check.envelope.reverse_path;
        session_.replied(
            path.domain == "full.test"
                ? reply(452, "4.3.1", "Insufficient system storage")
                : reply(250, "2.1.0", (path.is_null() ? "<>" : path.text()) + "....Sender OK"));
        return true;
    }
    bool take(smtp::step::CheckRecipient& check) {
        const auto& address = check.recipient.address;
        if (address.domain == "busy.test") {
            session_.replied(reply(451, "4.3.0", "Try again later"));
        } else if (address.domain == "here.test" || address.text() == "postmaster" ||
                   session_.peer().authenticated()) {
            session_.replied(reply(250, "2.1.5", address.text()));
        } else {
            session_.replied(reply(550, "5.7.1", "Unable to relay for " + address.text()));
        }
        return true;
    }
    bool take(smtp::step::StartQueue& start) {
        session_.replied(
            start.node == "held.test"
                ? reply(250, "2.0.0", "OK, queuing for node " + start.node + " started")
                : reply(459, "4.5.4", "Node " + start.node + " not allowed"));
        return true;
    }
    bool take(smtp::step::CheckTurn& check) {
        session_.replied(check.domains.front() == "held.test"
                             ? reply(250, "2.0.0", "OK now reversing the connection")
                             : reply(450, "4.7.1", "Not your domain"));
        return true;
    }
    bool take(smtp::step::Turn& turn) {
        CHECK(turn.domains == std::vector<std::string>{"held.test", "other.test"});
        return true;
    }
    bool take(smtp::step::Begin& begin) {
        REQUIRE_FALSE(open_);
        open_ = !setting_.nothing_can_be_stored;
        message_ = shown(begin.envelope, session_.peer());
        octets_.clear();
        session_.begun(open_);
        return true;
    }
    bool take(smtp::step::Append& append) {
        REQUIRE(open_);
        octets_ += append.octets;
        return true;
    }
    bool take(smtp::step::Commit&) {
        REQUIRE(open_);
        open_ = false;
        if (setting_.commit.starts_with('2')) {
            stored.push_back(message_ + ' ' + octets_);
            stored_at.push_back(fed);
        }
        session_.replied(parsed_reply(setting_.commit));
        return true;
    }
    bool take(smtp::step::Abort&) {
        REQUIRE(open_);
        open_ = false;
        return true;
    }
    bool take(smtp::step::Close&) {
        closed = true;
        return false;
    }

    const Setting& setting_;
    QuietLog log_;
    ServerSession::SteadyPoint now_{};
    ServerSession session_;
    bool wants_tls_ = false;
    bool open_ = false;
    std::string message_;
    std::string octets_;
};

/// Lines of one side in a row.
struct Flight {
    Dialogue::Side side;
    std::vector<Dialogue::Line> lines;

    [[nodiscard]] std::string octets() const {
        std::string all;
        for (const auto& line : lines) all += line.octets;
        return all;
    }
};

std::vector<Flight> flights(const Dialogue& dialogue) {
    std::vector<Flight> all;
    for (const auto& line : dialogue.lines) {
        if (all.empty() || all.back().side != line.side || line.side == Dialogue::Side::event) {
            all.push_back({line.side, {}});
        }
        all.back().lines.push_back(line);
    }
    return all;
}

/// Octets up to the end of a reply's last line.
std::size_t length_of_reply(std::string_view said) {
    std::size_t at = 0;
    for (bool last = false; !last && at < said.size();) {
        last = said.substr(at + 3).starts_with(' ');
        at = said.find('\n', at) + 1;
    }
    return at;
}

/// Compares what was said with the server's lines, and forgets it.
void check_said(Player& player, const Flight& flight) {
    std::string_view rest = player.said;
    for (const auto& line : flight.lines) {
        CAPTURE(line.number);
        if (line.end) {
            CHECK(player.closed);
            continue;
        }
        if (line.any_lines) {
            rest.remove_prefix(length_of_reply(rest));
            continue;
        }
        const auto end = rest.find('\n') + 1;
        const std::string got(rest.substr(0, end == 0 ? rest.size() : end));
        if (line.any_rest) {
            CHECK_MESSAGE(got.starts_with(line.octets), "said: " << got);
        } else {
            CHECK(got == line.octets);
        }
        rest.remove_prefix(got.size());
    }
    CHECK(std::string(rest) == "");
    player.said.clear();
    player.sends = 0;
}

std::vector<std::string> expected_messages(const Dialogue& dialogue) {
    std::vector<std::string> messages;
    for (const auto& line : dialogue.stored) {
        const auto quote = line.find('"');
        REQUIRE_MESSAGE((quote != std::string::npos && line.ends_with('"')), line);
        messages.push_back(line.substr(0, quote) +
                           unescaped(line.substr(quote + 1, line.size() - quote - 2)));
    }
    return messages;
}

/// Plays the whole dialogue, the client's octets in portions; gives the player at its end.
std::unique_ptr<Player> play(const Dialogue& dialogue, const Setting& setting,
                             std::size_t portion) {
    auto player = std::make_unique<Player>(setting);
    for (const auto& flight : flights(dialogue)) {
        if (flight.side == Dialogue::Side::server) {
            if (portion == std::string::npos) CHECK(player->sends <= 1);
            check_said(*player, flight);
            continue;
        }
        REQUIRE_MESSAGE(player->said.empty(), "not in the dialogue: " << player->said);
        if (flight.side == Dialogue::Side::event) {
            player->happen(flight.lines.front().octets);
        } else if (flight.lines.back().end) {
            player->feed(flight.octets(), portion);
            player->happen("disconnect");
        } else {
            player->feed(flight.octets(), portion);
        }
    }
    CHECK(player->said.empty());
    const auto expected = expected_messages(dialogue);
    REQUIRE(player->stored.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK(player->stored[i] == expected[i]);
    return player;
}

/// Plays the first `octets` octets of the client, then breaks the connection.
std::vector<std::string> play_broken(const Dialogue& dialogue, const Setting& setting,
                                     std::size_t octets) {
    Player player(setting);
    for (const auto& flight : flights(dialogue)) {
        if (flight.side == Dialogue::Side::server) continue;
        if (flight.side == Dialogue::Side::event) {
            if (octets > 0) player.happen(flight.lines.front().octets);
            continue;
        }
        const auto part = flight.octets().substr(0, octets);
        player.feed(part);
        octets -= part.size();
        if (octets == 0) break;
    }
    player.said.clear();
    player.happen("disconnect");
    CHECK(player.closed);
    CHECK(player.said.empty());
    return player.stored;
}

/// Where to break: before, in the middle of and after every line of the client.
std::vector<std::size_t> breaks(const Dialogue& dialogue) {
    std::vector<std::size_t> places{0};
    std::size_t at = 0;
    for (const auto& line : dialogue.lines) {
        if (line.side != Dialogue::Side::client) continue;
        // Around the line's end too: CR and LF are where a server ends a message too soon.
        for (std::size_t before : {line.octets.size() / 2, std::size_t{2}, std::size_t{1}}) {
            if (before < line.octets.size()) places.push_back(at + line.octets.size() - before);
        }
        at += line.octets.size();
        places.push_back(at);
    }
    return places;
}

template <class Test>
void for_each_dialogue(Test test) {
    for (const auto& file : dialogues("server")) {
        CAPTURE(file.filename());
        const auto dialogue = read_dialogue(file);
        test(dialogue, Setting(dialogue));
    }
}

}  // namespace

TEST_CASE("the server answers as the dialogues have it, each flight with one write") {
    for_each_dialogue([](const Dialogue& dialogue, const Setting& setting) {
        play(dialogue, setting, std::string::npos);
    });
}

TEST_CASE("however the network cuts the client's octets, the replies are the same") {
    for_each_dialogue([](const Dialogue& dialogue, const Setting& setting) {
        for (std::size_t portion : {1, 2, 3, 5, 7, 64}) {
            CAPTURE(portion);
            play(dialogue, setting, portion);
        }
    });
}

TEST_CASE("a broken connection stores nothing but what was whole before") {
    for_each_dialogue([](const Dialogue& dialogue, const Setting& setting) {
        const auto whole = play(dialogue, setting, 1);
        std::string client;
        for (const auto& line : dialogue.lines) {
            if (line.side == Dialogue::Side::client) client += line.octets;
        }
        for (const auto at : whole->stored_at) {
            const auto said = client.substr(0, at);
            CHECK((said.ends_with("\r\n.\r\n") ||
                   lower_case(said).find("bdat") != std::string::npos));
        }
        for (const auto at : breaks(dialogue)) {
            CAPTURE(at);
            const auto stored = play_broken(dialogue, setting, at);
            const auto expected = std::ranges::count_if(
                whole->stored_at, [at](std::size_t end) { return end <= at; });
            CHECK(stored.size() == static_cast<std::size_t>(expected));
        }
    });
}

namespace {

/// A session outside a dialogue.
struct Lone {
    explicit Lone(ServerOptions with = {}) : options(std::move(with)) {
        options.hostname = "mx.test";
        session.emplace(options, smtp::SessionTerms{}, client(), log, now);
    }

    /// Feeds it and answers what it asks with a 250; gives what it said.
    std::string say(const std::string& octets) {
        session->feed(octets);
        std::string said;
        for (;;) {
            auto step = session->next(now);
            if (auto* send = std::get_if<smtp::step::Send>(&step)) {
                largest = std::max(largest, send->octets.size());
                said += send->octets;
            } else if (std::holds_alternative<smtp::step::Begin>(step)) {
                session->begun(true);
            } else if (std::holds_alternative<smtp::step::Receive>(step) ||
                       std::holds_alternative<smtp::step::Close>(step)) {
                return said;
            } else if (!std::holds_alternative<smtp::step::Append>(step)) {
                session->replied(reply(250, "2.0.0", "taken"));
            }
        }
    }

    ServerOptions options;
    QuietLog log;
    ServerSession::SteadyPoint now{};
    std::optional<ServerSession> session;
    std::size_t largest = 0;
};

}  // namespace

TEST_CASE("a client that never reads cannot pile up replies in memory") {
    ServerOptions options;
    options.idle_commands = 0;
    Lone lone(options);
    std::string flight;
    for (int i = 0; i < 20'000; ++i) flight += "NOOP\r\n";
    lone.say(flight);
    CHECK(lone.largest > 10'000);
    CHECK(lone.largest < 20'000);
}

TEST_CASE("a command has its time as a whole, however it drips in") {
    Lone lone;
    lone.say("");
    const auto first = lone.session->receive_by();
    CHECK(first == lone.now + 10min);
    lone.now += 9min;
    lone.say("NOO");
    CHECK(lone.session->receive_by() == first);
    lone.say("P\r\n");
    CHECK(lone.session->receive_by() == lone.now + 10min);
}

TEST_CASE("a command too long for us has no more time than others") {
    Lone lone;
    lone.say("");
    const auto first = lone.session->receive_by();
    lone.say(std::string(4000, 'A'));
    lone.now += 9min;
    lone.say("A");
    CHECK(lone.session->receive_by() == first);
    CHECK(lone.say("\r\n") == "500 5.5.2 Line too long\r\n");
}

TEST_CASE("each chunk has its time, refused ones too, and none between them counts") {
    Lone lone;
    lone.now += 24h;
    lone.say("EHLO c\r\n");
    lone.say("BDAT 100000\r\nabc");  // nobody is there to take it
    CHECK(lone.session->receive_by() == lone.now + 10min);
    lone.say(std::string(100000 - 3, 'x'));
    lone.say("MAIL FROM:<a@b.test>\r\nRCPT TO:<c@here.test>\r\n");
    lone.say("BDAT 3\r\nabc");
    lone.now += 5min;
    // 8 minutes of its own, and 30 s earned by what came together with the command.
    lone.say("BDAT 100000\r\n" + std::string(500 * 30 - 3, 'x'));
    const auto began = lone.now;
    lone.now += 8min;
    lone.say("x");
    CHECK(lone.session->receive_by() == began + 10min + 30s);
    lone.say(std::string(100000 - 500 * 30 + 2, 'x'));
    lone.now += 5min;
    lone.say("BDAT 100000\r\n");
    // The 8 minutes of the chunk before count, and what it earned.
    CHECK(lone.session->receive_by() == lone.now + 2min + std::chrono::seconds(100003 / 500));
}

TEST_CASE("who asks for what cannot be had now is sent away in the end") {
    Lone lone;
    lone.options.recipients = 1;
    lone.options.errors = 5;
    lone.say("EHLO c\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@here.test>\r\n");
    std::string said;
    for (int i = 0; i < 1005; ++i) said = lone.say("RCPT TO:<d@here.test>\r\n");
    CHECK(said.starts_with("452 4.5.3"));
    CHECK(lone.say("RCPT TO:<d@here.test>\r\n").starts_with("421 4.7.0 Too many errors"));
}

TEST_CASE("chunks that bring little are no step towards a message") {
    Lone lone;
    lone.say("EHLO c\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@here.test>\r\n");
    for (int i = 0; i < 99; ++i) CHECK(lone.say("BDAT 1\r\nx").starts_with("250"));
    CHECK(lone.say("BDAT 512\r\n" + std::string(512, 'x')).starts_with("250"));
    CHECK(lone.say("BDAT 0\r\n").starts_with("421 4.7.0"));
}

TEST_CASE("a message has to come at the minimum rate, once the idle time is used up") {
    Lone lone;
    lone.say("HELO c\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@here.test>\r\nDATA\r\n");
    const auto began = lone.now;
    CHECK(lone.session->receive_by() == began + 10min);
    lone.now += 8min;
    lone.say(std::string(500 * 30, 'x'));  // worth 30 s at 500 octets/s
    CHECK(lone.session->receive_by() == began + 10min + 30s);
    lone.now += 30s;
    lone.say(std::string(500 * 3600, 'x'));
    CHECK(lone.session->receive_by() == lone.now + 10min);
}

TEST_CASE("the log has each command and its reply code, in one printable line") {
    Lone lone;
    lone.say("EHLO client.test\r\nNOOP \x01\xff\r\nQUIT\r\n");
    CHECK(lone.log.sessions == std::vector<std::string>{
                                   "192.0.2.9 connected",
                                   "192.0.2.9 EHLO client.test 250",
                                   "192.0.2.9 NOOP ?? 500",
                                   "192.0.2.9 QUIT 221",
                                   "192.0.2.9 quit",
                               });
}

TEST_CASE("every octet and message of a session is accounted for") {
    Lone lone;
    const std::string flight =
        "HELO c\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@here.test>\r\nDATA\r\nabc\r\n.\r\nQUIT\r\n";
    auto said = lone.say(flight);
    CHECK(said.ends_with("transmission channel\r\n"));
    REQUIRE(lone.log.ends.size() == 1);
    const auto& end = lone.log.ends.front();
    CHECK(end.received == flight.size());
    CHECK(lone.log.octets == flight.size());
    CHECK(end.sent == said.size());
    CHECK(end.messages == 1);
}

TEST_CASE("no log ever holds what a client answered to AUTH") {
    ServerOptions options;
    options.auth_requires_tls = false;
    options.hostname = "mx.test";
    QuietLog log;
    const smtp::SessionTerms terms{
        false, false, std::make_shared<smtp::Users>(*smtp::Users::parse(k_known_users))};
    ServerSession session(options, terms, client(), log, {});
    session.feed("EHLO c\r\nAUTH PLAIN AGpvZQBzZWNyZXQ=\r\nAUTH LOGIN\r\nam9l\r\nc2VjcmV0\r\n");
    for (auto step = session.next({}); !std::holds_alternative<smtp::step::Receive>(step);
         step = session.next({})) {
        if (std::holds_alternative<smtp::step::CheckPassword>(step))
            session.password_checked(false);
    }
    // However the command itself fares.
    Lone lone;
    lone.say("AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n auth  plain  AGpvZQBzZWNyZXQ=\r\nEHLO c\r\n");
    lone.say("AUTH PLAIN AGpvZQBzZWNyZXQ=\x01\r\nMAIL FROM:<a@b.test>\r\n");
    lone.say("AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n");
    lone.say("AUTH\tPLAIN AGpvZQBzZWNyZXQ=\r\nAUTH PLAIN\tAGpvZQBzZWNyZXQ=\r\n");
    lone.say("AUTH PLAIN AGpvZQBzZWNyZXQ=" + std::string(1000, 'A'));
    lone.say(std::string(2000, 'A') + "\r\n");
    CHECK(std::ranges::count(lone.log.sessions, "192.0.2.9 AUTH plain *** 503") == 1);
    log.sessions.insert(log.sessions.end(), lone.log.sessions.begin(), lone.log.sessions.end());
    for (const auto& line : log.sessions) {
        CAPTURE(line);
        CHECK(line.find("AGpvZQ") == std::string::npos);
        CHECK(line.find("c2Vj") == std::string::npos);
        CHECK(line.find("secret") == std::string::npos);
    }
    CHECK(std::ranges::count(log.sessions, "192.0.2.9 is not joe by PLAIN") == 1);
    CHECK(std::ranges::count(log.sessions, "192.0.2.9 is not joe by LOGIN") == 1);
}
