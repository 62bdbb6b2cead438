/// A whole session: whatever a client says, however the network cuts it, the replies are the same,
/// each comes after its command, and no message is taken that was not sent, for nobody who was
/// refused.

#include "message/utf8.hpp"
#include "require.hpp"
#include "smtp/known_users.hpp"
#include "smtp/quiet_log.hpp"
#include "smtp/server_session.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace mailroot;
using smtp::ServerSession;

namespace {

// The client waits here for a reply; what it says behind it is not there before.
constexpr std::string_view k_wait = "\xff\xfe";

/// What the first octet of an input asks for.
struct Setting {
    smtp::ServerOptions options;
    smtp::SessionTerms terms;
    Peer peer;

    explicit Setting(unsigned bits) {
        options.hostname = "mx.test";
        options.message_size = 4096;
        options.messages_per_connection = 0;
        options.recipients = 4;
        options.etrn = true;
        options.turn = (bits & 1) != 0;
        options.auth_requires_tls = (bits & 2) != 0;
        options.bare_newline =
            (bits & 4) != 0 ? smtp::BareNewline::reject : smtp::BareNewline::normalize;
        terms.starttls = (bits & 8) != 0;
        terms.require_tls = (bits & 16) != 0;
        static const auto users = std::make_shared<smtp::Users>(*smtp::Users::parse(k_known_users));
        if ((bits & 32) != 0) terms.users = users;
        peer.address = "192.0.2.9";
        if ((bits & 64) != 0) peer.tls_protocol = "TLSv1.3";
    }
};

/// Answers a session's steps: takes `*@here.test`, relays for users alone.
class Player {
 public:
    Player(const Setting& setting, std::size_t portion)
        : setting_(setting),
          portion_(portion),
          session_(setting.options, setting.terms, setting.peer, log_, {}) {
        settle();
    }

    void feed(std::string_view flight) {
        flight_over_ = false;
        while (!flight.empty() && !closed && !flight_over_) {
            const std::string own(flight.substr(0, portion_));
            flight.remove_prefix(own.size());
            fed_ = own;
            session_.feed(own);
            settle();
        }
    }

    void hang_up() {
        session_.disconnected();
        settle();
        require(closed && !open_, "a lost connection leaves no message open");
    }

    std::string said;
    std::vector<std::string> stored;
    bool closed = false;

 private:
    void settle() {
        int steps = 0;
        for (bool go_on = true; go_on && !closed;) {
            auto step = session_.next({});
            go_on = std::visit([this](auto& s) { return take(s); }, step);
            require(++steps < 1'000'000, "a session comes to an end with what it was given");
        }
    }

    bool take(smtp::step::Receive&) { return false; }
    bool take(smtp::step::Send& send) {
        check_replies(send.octets);
        // Octet by octet nothing can be answered before the end of its line, but for a chunk's end.
        if (portion_ == 1 && !fed_.empty() && !chunks_) {
            require(fed_ == "\n", "no reply comes before its command");
        }
        said += send.octets;
        return true;
    }
    bool take(smtp::step::StartTls&) {
        require(setting_.terms.starttls && !session_.peer().encrypted(), "TLS begins where it may");
        flight_over_ = true;
        session_.tls_started("TLSv1.3", "TLS_AES_256_GCM_SHA384");
        return true;
    }
    bool take(smtp::step::CheckPassword& check) {
        require(setting_.terms.users &&
                    (session_.peer().encrypted() || !setting_.options.auth_requires_tls),
                "a password is asked for where it may be said");
        session_.password_checked(check.password == "secret");
        return true;
    }
    bool take(smtp::step::Pause&) { return true; }
    bool take(smtp::step::CheckSender& check) {
        if (setting_.terms.require_tls) require(session_.peer().encrypted(), "no mail before TLS");
        const bool full = check.envelope.reverse_path.domain == "full.test";
        session_.replied(full ? reply(452, "4.3.1", "Full") : reply(250, "2.1.0", "OK"));
        accepted_.clear();
        return true;
    }
    bool take(smtp::step::CheckRecipient& check) {
        const auto& address = check.recipient.address;
        const bool ours = address.domain == "here.test" || session_.peer().authenticated();
        if (ours) accepted_.push_back(address.text());
        session_.replied(ours ? reply(250, "2.1.5", "OK") : reply(550, "5.7.1", "Unable to relay"));
        return true;
    }
    bool take(smtp::step::StartQueue&) {
        session_.replied(reply(250, "2.0.0", "OK"));
        return true;
    }
    bool take(smtp::step::CheckTurn&) {
        require(session_.peer().authenticated(), "ATRN is for users");
        session_.replied(reply(250, "2.0.0", "OK"));
        return true;
    }
    bool take(smtp::step::Turn&) {
        flight_over_ = true;
        return true;
    }
    bool take(smtp::step::Begin& begin) {
        require(!open_, "one message at a time");
        std::vector<std::string> recipients;
        for (const auto& recipient : begin.envelope.recipients)
            recipients.push_back(recipient.address.text());
        require(!recipients.empty() && recipients == accepted_,
                "a message is for who was accepted");
        open_ = true;
        binary_ = begin.envelope.body == Body::binary_mime;
        message_.clear();
        session_.begun(true);
        return true;
    }
    bool take(smtp::step::Append& append) {
        require(open_, "octets are of a message");
        message_ += append.octets;
        return true;
    }
    bool take(smtp::step::Commit&) {
        require(open_, "a message was begun");
        open_ = false;
        require(message_.size() <= setting_.options.message_size, "a message is within the limit");
        if (!binary_) check_text(message_);
        stored.push_back(message_);
        session_.replied(reply(250, "2.6.0", "Queued"));
        return true;
    }
    bool take(smtp::step::Abort&) {
        require(open_, "a message was begun");
        open_ = false;
        return true;
    }
    bool take(smtp::step::Close&) {
        closed = true;
        open_ = false;
        return false;
    }

    static void check_text(std::string_view text) {
        for (std::size_t i = 0; i < text.size(); ++i) {
            const bool begins = text[i] == '\r';
            require(text[i] != '\0' && text[i] != '\n', "no NUL and no bare LF is stored");
            if (begins) require(text.substr(i++).starts_with("\r\n"), "no bare CR is stored");
        }
    }

    static void check_replies(std::string_view octets) {
        require(message::is_utf8(octets), "replies are text");
        while (!octets.empty()) {
            const auto end = octets.find("\r\n");
            require(end != std::string_view::npos && end >= 4, "a reply has whole lines");
            const auto line = octets.substr(0, end);
            require(std::ranges::none_of(
                        line, [](char c) { return static_cast<unsigned char>(c) < ' '; }),
                    "a reply has no controls");
            require(line[0] >= '2' && line[0] <= '5' && (line[3] == ' ' || line[3] == '-'),
                    "a line has its code");
            require(line.size() <= 510,
                    "a line of a reply is no longer than RFC 5321 4.5.3.1.5 allows");
            octets.remove_prefix(end + 2);
        }
    }

    const Setting& setting_;
    const std::size_t portion_;
    QuietLog log_;
    ServerSession session_;
    std::string fed_;
    bool flight_over_ = false;
    std::vector<std::string> accepted_;
    bool open_ = false;
    bool binary_ = false;
    std::string message_;

 public:
    bool chunks_ = false;  ///< the client speaks of BDAT
};

std::vector<std::string_view> flights(std::string_view octets) {
    std::vector<std::string_view> all;
    for (;;) {
        const auto end = octets.find(k_wait);
        all.push_back(octets.substr(0, end));
        if (end == std::string_view::npos) return all;
        octets.remove_prefix(end + k_wait.size());
    }
}

std::size_t count(std::string_view text, std::string_view part) {
    std::size_t times = 0;
    for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
        ++times;
    return times;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const Setting setting(data[0]);
    const std::string_view octets(reinterpret_cast<const char*>(data) + 2, size - 2);
    std::string wire;
    for (const auto flight : flights(octets)) wire += flight;
    const bool chunks = lower_case(wire).find("bdat") != std::string::npos;
    // SCRAM's challenges are random.
    const bool random = lower_case(wire).find("scram") != std::string::npos;

    std::array<std::unique_ptr<Player>, 3> players;
    const std::array<std::size_t, 3> portions{octets.size() + 1, 1, 2u + data[1]};
    for (std::size_t i = 0; i < players.size(); ++i) {
        players[i] = std::make_unique<Player>(setting, portions[i]);
        players[i]->chunks_ = chunks;
        for (const auto flight : flights(octets)) players[i]->feed(flight);
        if (!players[i]->closed) players[i]->hang_up();
        if (!random)
            require(players[i]->said == players[0]->said,
                    "replies do not depend on how octets come");
        require(random || players[i]->stored == players[0]->stored, "nor do messages");
    }
    const auto most = count(wire, "\n.\r\n") + count(lower_case(wire), "last");
    require(players[0]->stored.size() <= most, "each message had an end of its own");
    return 0;
}
