#pragma once

#include "core/envelope.hpp"
#include "core/event_log.hpp"
#include "core/peer.hpp"
#include "core/reply.hpp"
#include "smtp/command_line.hpp"
#include "smtp/message_receiver.hpp"
#include "smtp/sasl.hpp"
#include "smtp/server_options.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mailroot::smtp {

/// What a ServerSession wants done next. Those with "answer" in their words are answered before
/// next() is called again.
namespace step {
struct Receive {};  ///< all octets are used up: feed() more
struct Send {
    std::string octets;
};
struct StartTls {};     ///< drop what was received, shake hands; answer with tls_started()
struct CheckPassword {  ///< answer with password_checked()
    std::string name;
    std::string password;
};
struct Pause {  ///< do nothing for so long
    std::chrono::milliseconds time;
};
struct CheckSender {  ///< answer with replied(): a 2xx takes the reverse path
    Envelope envelope;
    std::uint64_t announced;  ///< octets, by SIZE; 0: not said
};
struct CheckRecipient {  ///< answer with replied(): a 2xx takes the recipient
    Recipient recipient;
};
struct Begin {  ///< open the message; answer with begun()
    Envelope envelope;
};
struct Append {
    std::string octets;  ///< canonical, or as they came with BINARYMIME
};
struct Commit {};    ///< the message is whole; answer with replied()
struct Abort {};     ///< drop the message: it will not be committed
struct StartQueue {  ///< ETRN; answer with replied()
    std::string node;
};
struct CheckTurn {                     ///< ATRN; answer with replied(): after a 2xx comes Turn
    std::vector<std::string> domains;  ///< none: all that are the user's
};
struct Turn {  ///< become the client on this connection; octets that it sent are in `received`
    std::vector<std::string> domains;
    std::string received;
};
struct Close {};  ///< the end; a message that is still open is dropped
}  // namespace step

using Step =
    std::variant<step::Receive, step::Send, step::StartTls, step::CheckPassword, step::Pause,
                 step::CheckSender, step::CheckRecipient, step::Begin, step::Append, step::Commit,
                 step::Abort, step::StartQueue, step::CheckTurn, step::Turn, step::Close>;

/// The server's side of one SMTP connection, without the connection: octets go in, steps come out.
class ServerSession {
 public:
    using SteadyPoint = std::chrono::steady_clock::time_point;

    /// `options` and `log` must outlive the session. Where the Peer is encrypted() it is from the
    /// start.
    ServerSession(const ServerOptions& options, SessionTerms terms, Peer peer, EventLog& log,
                  SteadyPoint now);

    /// `now` is that moment, by the monotonic clock.
    [[nodiscard]] Step next(SteadyPoint now);

    /// Octets from the client; they must stay where they are until next() gives Receive or Close.
    void feed(std::string_view octets);

    /// When a client that goes on as it does is to be given up, as far as next() gave Receive: for
    /// a command `idle` after the one before, for a message `idle` after the last octets and not
    /// much behind the minimum rate.
    [[nodiscard]] SteadyPoint receive_by() const { return receive_by_; }

    /// The answer to what the last step asked for; sent as it is.
    void replied(Reply reply) { reply_ = std::move(reply); }
    /// Whether there is a message that takes the data.
    void begun(bool taken);
    /// The connection is encrypted: its protocol and cipher.
    void tls_started(std::string protocol, std::string cipher);
    /// Whether the password was the user's.
    void password_checked(bool right);

    /// The client said nothing for too long: 421 and the end.
    void time_out();
    /// The server goes down: 421 and the end, as soon as no transaction runs.
    void stop() { stopping_ = true; }
    /// The client is gone, or is to be left without a word: the end.
    void disconnected();

    [[nodiscard]] const Peer& peer() const { return peer_; }
    /// The transaction up to now.
    [[nodiscard]] const Envelope& envelope() const { return envelope_; }
    /// A message is coming in, so that large portions may be expected.
    [[nodiscard]] bool receiving_data() const;
    /// From MAIL until the message has its reply.
    [[nodiscard]] bool in_transaction() const;

 private:
    enum class State {
        connected,       ///< nobody said hello, or TLS began anew
        greeted,         ///< EHLO or HELO
        authenticating,  ///< the next line answers a challenge of AUTH
        mail,            ///< MAIL was taken
        recipients,      ///< one RCPT, too
        data,            ///< the octets behind DATA
        chunk,           ///< those of a BDAT
        between_chunks,  ///< the next command should be BDAT
        closed,
    };
    struct Grammar;  ///< the commands and when they are allowed

    void enter(State state) { state_ = state; }
    void end_transaction();
    Step take_over();
    void expect_octets();
    void take_line();
    void take_data();
    void data_ended();
    void run(std::string_view line);
    void take_reply(const Reply& reply);

    void ehlo(std::string_view argument);
    void helo(std::string_view argument);
    void starttls(std::string_view argument);
    void auth(std::string_view argument);
    void mail(std::string_view argument);
    void rcpt(std::string_view argument);
    void data(std::string_view argument);
    void bdat(std::string_view argument);
    void rset(std::string_view argument);
    void noop(std::string_view argument);
    void vrfy(std::string_view argument);
    void etrn(std::string_view argument);
    void atrn(std::string_view argument);
    void help(std::string_view argument);
    void quit(std::string_view argument);
    void refuse(std::string_view argument);

    bool greet(std::string_view name);
    [[nodiscard]] std::vector<std::string> extensions() const;
    [[nodiscard]] bool offers_auth() const;
    [[nodiscard]] bool needs_tls() const;
    [[nodiscard]] bool may_idle();
    void refuse_unknown();

    void begin_message();
    void begin_part(std::uint64_t most);
    [[nodiscard]] std::optional<Reply> chunk_refusal() const;
    [[nodiscard]] bool is_last_part() const;
    void refuse_data(const Reply& reply);

    void take_response(std::string_view line);
    void go_on(SaslExchange::Step step);
    void end_authentication(const Reply& reply);
    void authentication_failed(const std::string& name);

    void answer(const Reply& reply);
    Step close_connection();
    void say(const Reply& reply);
    void close(const Reply& reply, std::string_view how);

    /// A BDAT under way.
    struct Chunk {
        std::uint64_t octets = 0;
        bool last = false;
        State before = State::recipients;
        std::optional<Reply> refused;  ///< said once its octets were read
    };

    /// AUTH under way.
    struct Authentication {
        std::unique_ptr<SaslExchange> exchange;
        std::string mechanism;
    };

    /// What limits are held against.
    struct Tally {
        std::uint64_t received = 0;   ///< octets in all
        std::uint64_t accounted = 0;  ///< of these, those told with a command
        std::uint64_t sent = 0;
        std::uint64_t message_octets = 0;  ///< of all messages
        std::uint64_t messages = 0;        ///< whose data came to its end
        std::uint64_t taken = 0;           ///< of these, those that are ours now
        std::uint64_t errors = 0;
        std::uint64_t put_off = 0;  ///< commands answered 4xx, since the last message
        std::uint64_t unknown_commands = 0;
        std::uint64_t idle_commands = 0;
        std::uint64_t failed_authentications = 0;
    };

    enum class Asked { nothing, sender, recipient, message, queue, turn };

    const ServerOptions& options_;
    const SessionTerms terms_;
    EventLog& log_;
    Peer peer_;
    State state_ = State::connected;
    Tally tally_;

    std::string_view rest_;  ///< fed and not used up
    CommandLineReader lines_;
    std::string command_;         ///< the line that is answered, as logs may show it
    std::optional<Step> wanted_;  ///< by the command or data just taken
    Asked asked_ = Asked::nothing;
    std::optional<Reply> reply_;  ///< to what was asked
    std::string replies_;         ///< to be sent; commands that arrive together are answered so
    std::optional<Step> after_replies_;  ///< wanted once they are sent

    Envelope envelope_;
    Envelope checked_sender_;      ///< waits for its reply
    Recipient checked_recipient_;  ///< likewise
    bool recipient_refused_ = false;
    std::optional<MessageReceiver> receiver_;  ///< of the data that comes in
    bool open_ = false;                        ///< the message can be appended to
    Chunk chunk_;
    Authentication authentication_;
    std::vector<std::string> turn_domains_;

    SteadyPoint now_;
    const SteadyPoint began_;
    SteadyPoint command_came_;
    SteadyPoint data_since_;                         ///< as if it had come without a break
    std::chrono::steady_clock::duration data_time_;  ///< that its chunks took up to now
    std::uint64_t data_octets_ = 0;                  ///< received in that time
    SteadyPoint receive_by_;
    std::string_view how_it_ended_;
    bool stopping_ = false;
};

}  // namespace mailroot::smtp
