#include "message/dot_stuffing.hpp"
#include "smtp/client_transaction.hpp"
#include "smtp/client_wire.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace mailroot::smtp {

namespace {

using OnInput = ClientWire::OnInput;
using Phase = ClientTransaction::Phase;
using Step = ClientTransaction::Step;

// Enough to fill a fast connection; small messages go out with their final dot in one piece.
constexpr std::size_t k_block = 65536;

class WireConnection final : public ClientConnection {
 public:
    WireConnection(std::unique_ptr<ClientWire> wire, const Extensions& offered, ServerFacts server,
                   const ClientTimeouts& timeouts)
        : wire_(std::move(wire)),
          offered_(offered),
          server_(std::move(server)),
          timeouts_(timeouts) {}

    using ClientConnection::send;

    Task<std::vector<Verdict>> send(const Envelope& envelope, MessageSource& message,
                                    FindNext find_next) override {
        auto begun = begin(envelope, message);
        auto& transaction = *begun.transaction;
        answered_ = begun.answered;
        while (!std::holds_alternative<ClientTransaction::Finished>(begun.step)) {
            if (!next_ && transaction.can_be_followed())
                co_await begin_next(transaction, find_next);
            begun.step = co_await perform(std::move(begun.step), transaction, message);
        }
        auto& finished = std::get<ClientTransaction::Finished>(begun.step);
        if (finished.unconfirmed) co_await confirm(finished);
        lacks_chunking_ = finished.lacks_chunking;
        if (!finished.usable) hang_up();
        if (answered_) footing_ = ClientTransaction::Host::known;
        for (auto& verdict : finished.verdicts) {
            if (!verdict.host.empty()) verdict.tls = server_.tls;
        }
        co_return std::move(finished.verdicts);
    }

    [[nodiscard]] bool was_answered() const override { return answered_; }

    [[nodiscard]] bool lacks_chunking() const override { return lacks_chunking_; }

    [[nodiscard]] bool usable() const override {
        return next_ || (wire_ && wire_->take_in() && !wire_->has_input());
    }

    Task<void> quit() override {
        if (next_ || !usable()) co_return wire_.reset();
        const auto sent = co_await wire_->send("QUIT\r\n", timeouts_.quit, OnInput::keep_sending);
        if (sent) (void)co_await wire_->reply(timeouts_.quit);
        wire_.reset();
    }

 private:
    /// A transaction whose first step is to be taken, or was, behind another one.
    struct Begun {
        std::unique_ptr<ClientTransaction> transaction;
        Step step;
        bool answered = false;  ///< the host said something since
    };

    Begun begin(const Envelope& envelope, const MessageSource& message) {
        if (!next_) {
            auto transaction = transaction_of(envelope, message, footing_);
            auto step = transaction->next();
            return {std::move(transaction), std::move(step)};
        }
        auto begun = *std::exchange(next_, std::nullopt);
        const bool decided = std::holds_alternative<ClientTransaction::Finished>(begun.step);
        if (!wire_ && !decided) begun.step = begun.transaction->interrupted("connection lost");
        return begun;
    }

    [[nodiscard]] std::unique_ptr<ClientTransaction> transaction_of(
        const Envelope& envelope, const MessageSource& message,
        ClientTransaction::Host footing) const {
        return std::make_unique<ClientTransaction>(envelope, offered_, message.size(), server_.host,
                                                   footing);
    }

    /// Begins the next message behind one that awaits its replies.
    Task<void> begin_next(ClientTransaction& before, const FindNext& find_next) {
        using Host = ClientTransaction::Host;
        const bool in_step = offered_.pipelining && footing_ == Host::known;
        const auto next = in_step ? find_next() : std::nullopt;
        if (!next) co_return;
        auto transaction = transaction_of(next->envelope, next->message, Host::busy);
        auto step = transaction->next();
        if (!std::holds_alternative<ClientTransaction::Finished>(step)) {
            before.followed();
            step = co_await say_first(std::move(step), *transaction, next->message);
        }
        next_ = Begun{std::move(transaction), std::move(step)};
    }

    /// The first step of such a message. What comes meanwhile answers the one before.
    Task<Step> say_first(Step step, ClientTransaction& transaction, MessageSource& message) {
        std::string octets;
        if (const auto* commands = std::get_if<ClientTransaction::Send>(&step)) {
            octets = commands->octets;
        } else {
            octets = std::get<ClientTransaction::SendMessage>(step).commands;
            for (bool end = false; !end;) {
                const auto portion = co_await message.next();
                if (!portion) co_return transaction.unreadable(portion.error().what);
                end = portion->empty();
                octets += *portion;
            }
        }
        const auto sent = co_await wire_->send(octets, timeouts_.data_block, OnInput::keep_sending);
        if (!sent) co_return transaction.interrupted(sent.error().what);
        co_return transaction.next();
    }

    /// What the host says to the RSET of the next message, which it was sent behind this one.
    Task<void> confirm(ClientTransaction::Finished& finished) {
        if (!next_ || !std::holds_alternative<ClientTransaction::ReadReply>(next_->step)) co_return;
        const auto said = co_await wire_->reply(timeouts_.command);
        if (!said) {
            next_->step = next_->transaction->interrupted(said.error().what);
            co_return;
        }
        last_code_ = said->code;
        next_->answered = true;
        next_->step = next_->transaction->resume(*said);
        if (ClientTransaction::is_doubtful(*said)) ClientTransaction::doubt(finished, *said);
    }

    void hang_up() {
        wire_.reset();
        // RFC 5321 3.8: behind a 421 nothing is done any more. And behind a chunk that was taken
        // for commands nothing is taken for a message.
        if (next_ && (last_code_ == 421 || lacks_chunking_)) next_->answered = false;
    }

    Task<Step> perform(Step step, ClientTransaction& transaction, MessageSource& message) {
        if (const auto* commands = std::get_if<ClientTransaction::Send>(&step))
            co_return co_await send_commands(*commands, transaction);
        if (const auto* awaited = std::get_if<ClientTransaction::ReadReply>(&step))
            co_return co_await read_reply(awaited->phase, transaction);
        co_return co_await send_message(std::get<ClientTransaction::SendMessage>(step), transaction,
                                        message);
    }

    Task<Step> send_commands(const ClientTransaction::Send& commands,
                             ClientTransaction& transaction) {
        if (!transaction.is_confirming()) {
            const auto stray = co_await stray_word();
            if (stray) co_return transaction.interrupted(*stray);
        }
        const auto sent =
            co_await wire_->send(commands.octets, time_for(commands.phase), OnInput::keep_sending);
        // Where that failed, what the host said before it hung up still counts.
        if (!sent && !wire_->has_input()) co_return transaction.interrupted(sent.error().what);
        co_return transaction.next();
    }

    /// A word nobody asked for would be taken for the reply to what comes next.
    Task<std::optional<std::string>> stray_word() {
        (void)wire_->take_in();
        if (!wire_->has_input()) co_return std::nullopt;
        const auto stray = co_await wire_->reply(std::chrono::seconds(0));
        co_return stray ? "the host said '" + stray->text() + "' unasked"
                        : "the host spoke unasked";
    }

    Task<Step> read_reply(Phase phase, ClientTransaction& transaction) {
        const auto reply = co_await wire_->reply(time_for(phase));
        if (!reply) co_return transaction.interrupted(reply.error().what);
        answered_ = true;
        last_code_ = reply->code;
        if (next_) next_->answered = true;
        co_return transaction.resume(*reply);
    }

    Task<Step> send_message(ClientTransaction::SendMessage order, ClientTransaction& transaction,
                            MessageSource& message) {
        message::DotStuffer stuffer;
        const auto on_input = order.replies_follow ? OnInput::keep_sending : OnInput::stop;
        std::string block = std::move(order.commands);
        for (bool end = false; !end; block.clear()) {
            // What the host is to answer in between goes in one piece.
            while (!end && (order.replies_follow || block.size() < k_block)) {
                const auto portion = co_await message.next();
                if (!portion) co_return transaction.unreadable(portion.error().what);
                end = portion->empty();
                if (order.chunk) {
                    block += *portion;
                } else if (end) {
                    stuffer.finish(block);
                } else {
                    stuffer.feed(*portion, block);
                }
            }
            if (order.replies_follow) {
                const auto stray = co_await stray_word();
                if (stray) co_return transaction.interrupted(*stray);
            }
            const auto sent = co_await wire_->send(block, timeouts_.data_block, on_input);
            if (!sent && order.replies_follow && wire_->has_input())
                co_return transaction.read_on();
            if (!sent || !*sent) {
                const auto why = sent ? "" : sent.error().what;
                co_return co_await stop_amid_message(transaction, why);
            }
        }
        co_return transaction.next();
    }

    /// The host spoke or hung up before the end of the message.
    Task<Step> stop_amid_message(ClientTransaction& transaction, std::string why) {
        if (!wire_->has_input()) co_return transaction.interrupted(why);
        const auto early = co_await wire_->reply(timeouts_.data_block);
        if (!early) co_return transaction.interrupted(early.error().what);
        answered_ = true;
        co_return transaction.answered_early(*early);
    }

    [[nodiscard]] std::chrono::seconds time_for(Phase phase) const {
        switch (phase) {
            case Phase::data_start:
                return timeouts_.data_start;
            case Phase::data_end:
                return timeouts_.data_end;
            case Phase::command:
                break;
        }
        return timeouts_.command;
    }

    std::unique_ptr<ClientWire> wire_;  ///< none once it is of no more use
    const Extensions offered_;
    const ServerFacts server_;
    const ClientTimeouts timeouts_;
    ClientTransaction::Host footing_ = ClientTransaction::Host::unknown;
    std::optional<Begun> next_;  ///< begun behind the message that is being sent
    int last_code_ = 0;          ///< that the host said
    bool answered_ = false;
    bool lacks_chunking_ = false;
};

}  // namespace

std::unique_ptr<ClientConnection> make_client_connection(std::unique_ptr<ClientWire> wire,
                                                         const Extensions& offered,
                                                         ServerFacts server,
                                                         const ClientTimeouts& timeouts) {
    return std::make_unique<WireConnection>(std::move(wire), offered, std::move(server), timeouts);
}

}  // namespace mailroot::smtp
