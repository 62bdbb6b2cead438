#pragma once

#include "core/envelope.hpp"
#include "core/reply.hpp"
#include "core/verdict.hpp"
#include "smtp/extensions.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mailroot::smtp {

/// One message to one server (RFC 5321 3.3) without a socket: it says what to do next and is told
/// what came of it. `envelope` must outlive it.
class ClientTransaction {
 public:
    /// What is waited for; each has a time of its own.
    enum class Phase { command, data_start, data_end };

    /// Send these octets; then next().
    struct Send {
        std::string octets;
        Phase phase;
    };
    /// Send these commands and the message in one go; then next(). As a chunk it is sent as it is,
    /// else with its dots doubled and the final dot.
    struct SendMessage {
        std::string commands;
        bool chunk = false;
        bool replies_follow = false;  ///< the host may speak before it has all
    };
    /// Read a reply; then resume() with it.
    struct ReadReply {
        Phase phase;
    };
    struct Finished {
        std::vector<Verdict> verdicts;  ///< one for each recipient, in their order
        bool usable;                    ///< another transaction may follow on this connection
        bool lacks_chunking = false;    ///< it was offered, and BDAT is not known
        bool unconfirmed = false;       ///< the reply to the RSET that follows tells: see doubt()
    };
    using Step = std::variant<Send, SendMessage, ReadReply, Finished>;

    /// What the host has done for us. One that says one reply too many would have a chunk taken for
    /// accepted that it refused: to a host unknown MAIL and the first RCPT are said alone, so that
    /// it is found out before.
    enum class Host {
        unknown,
        known,  ///< it counts replies as we do
        busy,   ///< the same, and the replies to the message before this one are still to come
    };

    /// `octets` is the message's size, `host` the name for verdicts.
    ClientTransaction(const Envelope& envelope, const Extensions& offered, std::uint64_t octets,
                      std::string host, Host footing = Host::known);

    /// Whether the message is sent, and only replies are awaited: then another transaction may be
    /// begun behind this one (RFC 2920 3.1).
    [[nodiscard]] bool can_be_followed() const;
    /// It was begun: as a transaction with a busy host it clears what is left of this one.
    void followed() { followed_ = true; }

    /// Whether all that is left is the reply to that RSET. What came before it was said may be it.
    [[nodiscard]] bool is_confirming() const;

    /// Takes back that a message was taken over, for `reply` was said to the RSET behind it: it is
    /// the chunk's, and that what was taken for the chunk's was another one's.
    static void doubt(Finished& finished, const Reply& reply);
    /// Whether it says so.
    [[nodiscard]] static bool is_doubtful(const Reply& reply);

    /// The first step, or the one after something was sent.
    Step next();
    /// The step after a reply was read.
    Step resume(const Reply& reply);

    /// The connection broke before all was sent; what the host said before that still counts.
    Step read_on();

    /// The host answered before the message was sent whole: the rest of it must not follow.
    Finished answered_early(const Reply& reply);
    /// The connection is of no more use, for that reason.
    Finished interrupted(std::string_view reason);
    /// The message itself cannot be read; its final dot was not sent.
    Finished unreadable(std::string_view reason);

 private:
    enum class Command { clear, mail, rcpt, data, message, chunk, confirm, empty_message, rset };
    struct Awaited {
        Command command;
        std::size_t recipient = 0;
    };

    static std::string_view name_of(Command command);

    void refuse_what_cannot_be_sent();
    void refuse_what_needs_utf8();
    bool has_next_recipient();
    [[nodiscard]] bool is_on_probation() const;
    Step flight();
    Step whole_flight();
    Step send_chunk(std::string commands);
    Step after_message(Command command, const Reply& reply);
    Step after_confirmation(const Reply& reply);
    Step ask(Command command, std::size_t recipient = 0);
    Step read();
    Step finish(bool usable);
    Step after_data(const Reply& reply);
    Step out_of_step(const Reply& reply, std::string_view to);
    void take_mail(const Reply& reply);
    void take_rcpt(const Reply& reply, std::size_t recipient);

    [[nodiscard]] std::string command_line(Command command, std::size_t recipient) const;
    [[nodiscard]] std::string mail_command() const;
    [[nodiscard]] bool needs_utf8() const;
    [[nodiscard]] std::string text_of(const Address& address) const;
    [[nodiscard]] std::string rcpt_command(const Recipient& recipient) const;
    [[nodiscard]] std::string orcpt_parameter(const std::string& orcpt) const;
    [[nodiscard]] std::string place() const;
    [[nodiscard]] bool awaits_message() const;
    [[nodiscard]] bool any_accepted() const;
    void decide(Verdict::Kind kind, const Reply& reply);
    void decide_one(std::size_t recipient, Verdict::Kind kind, const Reply& reply);

    const Envelope& envelope_;
    const Extensions offered_;
    const std::uint64_t octets_;
    const std::string host_;
    const Host footing_;

    std::vector<std::optional<Verdict>> verdicts_;  ///< none: undecided
    std::deque<Awaited> awaited_;  ///< commands sent whose replies were not read yet
    std::size_t next_recipient_ = 0;
    bool mail_said_ = false;
    bool followed_ = false;
    bool in_one_flight_ = false;  ///< the chunk, with commands before it
    bool cut_off_ = false;        ///< the connection broke before all was sent
    bool message_sent_ = false;   ///< whole, the final dot included
    bool answered_rcpt_ = false;
    bool host_accepted_one_ = false;  ///< a RCPT, whatever became of MAIL
    bool lacks_chunking_ = false;
};

}  // namespace mailroot::smtp
