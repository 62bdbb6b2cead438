#include "smtp/server_session.hpp"

#include "smtp/dialogue.hpp"
#include "smtp/quiet_log.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>

using namespace mailroot;
using smtp::ServerOptions;
using smtp::ServerSession;

namespace {

Peer client() {
    Peer peer;
    peer.address = "192.0.2.9";
    return peer;
}

/// What the options of a dialogue ask for.
struct Setting {
    ServerOptions server;
    bool nothing_can_be_stored = false;
    std::string commit = "250 2.6.0 <1@mx.test> Queued mail for delivery";

    explicit Setting(const Dialogue& dialogue) {
        server.hostname = "mx.test";
        const std::map<std::string, std::size_t*> limits{
            {"recipients", &server.recipients},
            {"messages", &server.messages_per_connection},
            {"errors", &server.errors},
        };
        for (const auto& option : dialogue.options) {
            const auto space = std::min(option.find(' '), option.size() - 1);
            const auto name = option.substr(0, space);
            const auto value = option.substr(space + 1);
            if (option == "storage full") {
                nothing_can_be_stored = true;
            } else if (name == "commit") {
                commit = value;
            } else if (name == "size") {
                server.message_size = std::stoull(value);
            } else {
                REQUIRE_MESSAGE(limits.contains(name), dialogue.file << ": option " << option);
                *limits.at(name) = std::stoul(value);
            }
        }
    }
};

Reply parsed_reply(const std::string& text) {
    return reply(std::stoi(text.substr(0, 3)), text.substr(4, 5), text.substr(10));
}

/// Answers a session's steps: takes `*@here.test` and postmaster, relays for nobody, and keeps what
/// was stored.
class Player {
 public:
    explicit Player(const Setting& setting)
        : setting_(setting), session_(setting.server, client(), log_) {
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
            auto step = session_.next();
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
    bool take(smtp::step::CheckRecipient& check) {
        const auto name = check.recipient.text();
        if (check.recipient.domain == "here.test" || name == "postmaster") {
            session_.recipient_checked(reply(250, "2.1.5", name));
        } else if (check.recipient.domain == "busy.test") {
            session_.recipient_checked(reply(451, "4.3.0", "Try again later"));
        } else {
            session_.recipient_checked(reply(550, "5.7.1", "Unable to relay for " + name));
        }
        return true;
    }
    bool take(smtp::step::Begin& begin) {
        REQUIRE_FALSE(open_);
        open_ = !setting_.nothing_can_be_stored;
        const auto body = begin.envelope.body == Body::eight_bit_mime ? " 8bit" : "";
        message_ = '<' + begin.envelope.reverse_path.text() + '>' + body;
        for (const auto& recipient : begin.envelope.recipients) {
            message_ += " <" + recipient.address.text() + '>';
        }
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
        session_.committed(parsed_reply(setting_.commit));
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
    ServerSession session_;
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

/// Compares what was said with the server's lines, and forgets it.
void check_said(Player& player, const Flight& flight) {
    std::string_view rest = player.said;
    for (const auto& line : flight.lines) {
        CAPTURE(line.number);
        if (line.end) {
            CHECK(player.closed);
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
            CHECK(client.substr(0, at).ends_with("\r\n.\r\n"));
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

TEST_CASE("a client that never reads cannot pile up replies in memory") {
    ServerOptions options;
    options.hostname = "mx.test";
    QuietLog log;
    ServerSession session(options, client(), log);
    std::string flight;
    for (int i = 0; i < 20'000; ++i) flight += "NOOP\r\n";
    session.feed(flight);
    std::size_t largest = 0;
    for (auto step = session.next(); std::holds_alternative<smtp::step::Send>(step);
         step = session.next()) {
        largest = std::max(largest, std::get<smtp::step::Send>(step).octets.size());
    }
    CHECK(largest > 10'000);
    CHECK(largest < 20'000);
}

TEST_CASE("the log has each command and its reply code, in one printable line") {
    ServerOptions options;
    options.hostname = "mx.test";
    QuietLog log;
    ServerSession session(options, client(), log);
    session.feed("EHLO client.test\r\nNOOP \x01\xff\r\nQUIT\r\n");
    while (!std::holds_alternative<smtp::step::Close>(session.next())) {
    }
    CHECK(log.sessions == std::vector<std::string>{
                              "192.0.2.9 connected 220",
                              "192.0.2.9 EHLO client.test 250",
                              "192.0.2.9 NOOP ?? 500",
                              "192.0.2.9 QUIT 221",
                          });
}
