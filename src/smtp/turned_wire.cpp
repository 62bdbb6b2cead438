#include "smtp/turned_wire.hpp"

#include "smtp/client_wire.hpp"
#include "smtp/deadline.hpp"
#include "smtp/reply_parser.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace mailroot::smtp {

namespace {

// Between two looks at what the other end says, so that neither waits for the other to read.
constexpr std::size_t k_block = 16 * 1024;

constexpr std::size_t k_max_pending = 1u << 20;

tl::unexpected<Error> lost(std::string how) {
    return fail(Error::Kind::io, std::move(how));
}

class TurnedWire final : public ClientWire {
 public:
    TurnedWire(std::unique_ptr<Stream> stream, std::string_view received)
        : stream_(std::move(stream)),
          deadline_(stream_->executor(), [this] { stream_->cancel(); }) {
        replies_.feed(received);
    }

    Task<Result<bool>> send(std::string_view octets, std::chrono::milliseconds most,
                            OnInput on_input) override {
        while (!octets.empty()) {
            if (auto open = take_in(); !open) co_return fail(std::move(open));
            if (on_input == OnInput::stop && has_input()) co_return false;
            const auto block = octets.substr(0, k_block);
            asio::error_code error;
            deadline_.set(most);
            co_await stream_->write(block, error);
            deadline_.clear();
            if (error) co_return lost(why(error));
            octets.remove_prefix(block.size());
        }
        co_return true;
    }

    Task<Result<Reply>> reply(std::chrono::milliseconds most) override {
        asio::error_code error;
        deadline_.set(most);
        for (;;) {
            auto taken = take_in();
            auto next = replies_.next();
            if (!next) co_return fail(std::move(next));
            if (*next) co_return std::move(**next);  // what came before the connection broke counts
            if (!taken) co_return fail(std::move(taken));
            co_await stream_->readable(error);
            if (error) co_return lost(why(error));
        }
    }

    Result<void> take_in() override {
        std::array<char, k_block> portion;
        while (replies_.pending() < k_max_pending) {
            asio::error_code error;
            const auto count = stream_->read_now(portion.data(), portion.size(), error);
            if (error == asio::error::would_block) return {};
            if (error == asio::error::eof) return lost("connection closed by the host");
            if (error) return lost("connection lost");
            replies_.feed({portion.data(), count});
        }
        return fail(Error::Kind::protocol, "the host broke SMTP: it talks without end");
    }

    [[nodiscard]] bool has_input() const override { return replies_.holds_octets(); }

 private:
    [[nodiscard]] std::string why(const asio::error_code& error) const {
        return error == asio::error::operation_aborted && deadline_.passed() ? "timed out"
                                                                             : "connection lost";
    }

    std::unique_ptr<Stream> stream_;
    Deadline deadline_;
    ReplyParser replies_;
};

ConnectOutcome no_connection(Verdict::Kind kind, const Reply& reply, const std::string& host) {
    return {nullptr, {kind, reply, host}};
}

}  // namespace

Task<ConnectOutcome> turn_around(std::unique_ptr<Stream> stream, std::string received,
                                 std::string hostname, ClientTimeouts timeouts, std::string host,
                                 TlsFacts tls) {
    auto wire = std::make_unique<TurnedWire>(std::move(stream), received);
    const std::array hello{std::string(), "EHLO " + hostname + "\r\n", "HELO " + hostname + "\r\n"};
    Extensions offered;
    for (const auto& command : hello) {
        if (!command.empty()) {
            const auto sent =
                co_await wire->send(command, timeouts.command, ClientWire::OnInput::keep_sending);
            if (!sent) {
                co_return no_connection(kind_of(0), reply(0, "4.4.1", sent.error().what), host);
            }
        }
        const auto answer = co_await wire->reply(timeouts.greeting);
        if (!answer) {
            co_return no_connection(kind_of(0), reply(0, "4.4.1", answer.error().what), host);
        }
        const auto kind = kind_of(answer->code);
        const bool ehlo = command.starts_with("EHLO");
        if (ehlo && kind == Verdict::Kind::failed) continue;  // HELO may do
        if (kind != Verdict::Kind::delivered) co_return no_connection(kind, *answer, host);
        if (ehlo) {
            offered = read_extensions(*answer);
            break;
        }
    }
    co_return ConnectOutcome{make_client_connection(std::move(wire), offered,
                                                    {std::move(host), std::move(tls)}, timeouts),
                             {}};
}

}  // namespace mailroot::smtp
