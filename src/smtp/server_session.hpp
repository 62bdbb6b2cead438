#pragma once

#include "core/envelope.hpp"
#include "core/event_log.hpp"
#include "core/peer.hpp"
#include "core/reply.hpp"
#include "message/dot_stuffing.hpp"
#include "smtp/command_line.hpp"
#include "smtp/server_options.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace mailroot::smtp {

/// What a ServerSession wants done next.
namespace step {
struct Receive {};  ///< all octets are used up: feed() more
struct Send {
    std::string octets;
};
struct CheckRecipient {  ///< answer with recipient_checked()
    Address recipient;
};
struct Begin {  ///< open the message; answer with begun()
    Envelope envelope;
};
struct Append {
    std::string octets;  ///< canonical
};
struct Commit {};  ///< the message is whole; answer with committed()
struct Abort {};   ///< drop the message: it will not be committed
struct Close {};   ///< the end; a message that is still open is dropped
}  // namespace step

using Step = std::variant<step::Receive, step::Send, step::CheckRecipient, step::Begin,
                          step::Append, step::Commit, step::Abort, step::Close>;

/// The server's side of one SMTP connection, without the connection: octets go in, steps come out.
/// A step that wants an answer is answered before next() is called again.
class ServerSession {
 public:
    /// `options` and `log` must outlive the session.
    ServerSession(const ServerOptions& options, Peer peer, EventLog& log);

    [[nodiscard]] Step next();

    /// Octets from the client; they must stay where they are until next() gives Receive or Close.
    void feed(std::string_view octets) { rest_ = octets; }

    /// The reply is sent as it is; a 2xx takes the recipient.
    void recipient_checked(const Reply& reply);
    /// Whether there is a message that takes the data.
    void begun(bool taken);
    /// What became of the message; sent as it is.
    void committed(const Reply& reply);

    /// The client said nothing for too long: 421 and the end.
    void time_out();
    /// The server goes down: 421 and the end, as soon as no transaction runs.
    void stop();
    /// The client is gone, or is to be left without a word: the end.
    void disconnected();

    [[nodiscard]] const Peer& peer() const { return peer_; }
    /// The transaction up to now.
    [[nodiscard]] const Envelope& envelope() const { return envelope_; }
    /// A message is coming in, so that large portions may be expected.
    [[nodiscard]] bool receiving_data() const { return state_ == State::data; }
    /// From MAIL until the message has its reply.
    [[nodiscard]] bool in_transaction() const;

 private:
    enum class State { connected, greeted, mail, recipients, data, closed };
    struct Grammar;  ///< the commands and when they are allowed

    void enter(State state) { state_ = state; }
    void end_transaction();
    void take_line();
    void take_data();
    void end_of_data();
    void run(std::string_view line);

    void ehlo(std::string_view argument);
    void helo(std::string_view argument);
    void mail(std::string_view argument);
    void rcpt(std::string_view argument);
    void data(std::string_view argument);
    void rset(std::string_view argument);
    void noop(std::string_view argument);
    void vrfy(std::string_view argument);
    void help(std::string_view argument);
    void quit(std::string_view argument);

    bool greet(std::string_view name);
    void answer(const Reply& reply);
    void say(const Reply& reply, std::string_view to);
    void close(const Reply& reply, std::string_view to);

    const ServerOptions& options_;
    EventLog& log_;
    Peer peer_;
    State state_ = State::connected;
    std::string_view rest_;  ///< fed and not used up
    CommandLineReader lines_;
    std::optional<Step> wanted_;  ///< by the command or data just taken
    std::string replies_;         ///< to be sent; commands that arrive together are answered so

    Envelope envelope_;
    Address checked_;  ///< the recipient that waits for its reply
    bool recipient_refused_ = false;
    message::DataDecoder decoder_;
    std::uint64_t message_octets_ = 0;
    bool too_big_ = false;

    std::size_t errors_ = 0;
    std::size_t messages_ = 0;
    bool stopping_ = false;
};

}  // namespace mailroot::smtp
