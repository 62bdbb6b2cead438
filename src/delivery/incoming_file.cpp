#include "delivery/incoming_file.hpp"

#include "delivery/local_domains.hpp"
#include "folders/drop.hpp"
#include "folders/queue.hpp"
#include "message/header.hpp"
#include "message/received.hpp"

#include <algorithm>
#include <optional>
#include <string>

namespace mailroot::delivery {

namespace {

// What has no end of header by then is sent on as it is (Postfix: 100 KiB).
constexpr std::size_t k_max_header = 256u << 10;

// Written in one go with the commit up to here; a larger message goes to the disk as it comes.
constexpr std::size_t k_buffer = 256u << 10;

constexpr std::size_t k_small = 32u << 10;

/// Where a success is to be reported, Queue remembers that.
bool goes_to_drop(const config::Settings::Domains& domains, const Envelope& envelope) {
    const auto local = [&](const Recipient& recipient) {
        return is_local(domains, recipient.address.domain);
    };
    return std::ranges::all_of(envelope.recipients, local) && !wants_success_report(envelope);
}

/// From this machine, or from a user of ours.
bool is_submission(const Peer& client) {
    return client.loopback || client.authenticated();
}

/// RFC 3848, RFC 6531 4.3.
std::string protocol_of(const Peer& client, bool utf8) {
    if (!client.extended) return "SMTP";
    std::string name = utf8 ? "UTF8SMTP" : "ESMTP";
    if (client.encrypted()) name += 'S';
    if (client.authenticated()) name += 'A';
    return name;
}

class IncomingFile final : public smtp::IncomingMessage {
 public:
    IncomingFile(const Context& context, const Peer& peer, Envelope envelope, Stored stored)
        : context_(context),
          peer_(peer),
          envelope_(std::move(envelope)),
          id_(context.ids.next()),
          to_drop_(goes_to_drop(context.settings.domains, envelope_)),
          stored_(std::move(stored)) {}

    /// What is not committed is removed.
    ~IncomingFile() override {
        if (file_) let_go(context_, std::move(*file_));
    }

    smtp::Task<void> append(std::string octets) override {
        if (!error_.what.empty()) co_return;  // it will be refused: no need to hold it
        if (!header_done_) {
            take_header(octets);
        } else {
            // Once it is large it gets all its room: as it doubles it would be there twice.
            const auto needed = buffer_.size() + octets.size();
            if (needed > k_small && needed > buffer_.capacity()) {
                buffer_.reserve(k_buffer + octets.size());
            }
            buffer_ += octets;
        }
        if (buffer_.size() >= k_buffer && error_.what.empty()) {
            auto write = [this] { return flush(); };
            auto written = co_await on_disk(context_, write);
            if (!written) error_ = std::move(written).error();
        }
    }

    smtp::Task<Reply> commit() override {
        if (!header_done_) end_header(header_.size());
        if (hops_ > context_.settings.delivery.hops)
            co_return reply(554, "5.4.6", "Too many hops, this may be a mail loop");
        auto settle = [this] {
            auto written = write_all();
            // Committed, it is anybody's who claims it; else what there is of it goes.
            file_.reset();
            return written;
        };
        auto committed = co_await on_disk(context_, settle);
        if (!committed) {
            context_.log.warning(committed.error().what);
            co_return reply(451, "4.3.0", "Local error, the message was not accepted");
        }
        context_.log.received(id_, envelope_, octets_, peer_);
        stored_(octets_, to_drop_);
        if (!to_drop_) context_.accepted(id_);
        co_return reply(
            250, "2.6.0",
            '<' + id_.text() + '@' + context_.settings.hostname + "> Queued mail for delivery");
    }

 private:
    void take_header(std::string_view octets) {
        // The blank line may lie across two portions.
        const auto from = header_.size() < 3 ? 0 : header_.size() - 3;
        header_ += octets;
        const auto blank = header_.starts_with("\r\n") ? 0 : header_.find("\r\n\r\n", from);
        if (blank != std::string::npos) {
            end_header(blank + 2);
        } else if (header_.size() > k_max_header) {
            end_header(last_field(header_));
        }
    }

    /// Where the last field begins of which one line at least is whole.
    static std::size_t last_field(std::string_view header) {
        auto whole = header.substr(0, header.rfind("\r\n"));
        for (auto end = whole.rfind("\r\n"); end != std::string_view::npos;
             end = whole.rfind("\r\n")) {
            const auto line = whole.substr(end + 2);
            if (!line.starts_with(' ') && !line.starts_with('\t')) return end + 2;
            whole = whole.substr(0, end);
        }
        return 0;
    }

    /// The header is looked at up to `end`: the blank line, or where it is too long; what follows
    /// goes on as it is.
    void end_header(std::size_t end) {
        header_done_ = true;
        const auto header = message::parse_header(std::string_view(header_).substr(0, end));
        buffer_ = trace_fields(header);
        for (const auto& field : header.fields) {
            if (equal_ignoring_case(field.name, "Received")) ++hops_;
            // What is submitted may carry what is nobody's business.
            if (is_submission(peer_) && is_blind(field.name)) continue;
            buffer_ += field.whole;
        }
        const auto rest = std::string_view(header_).substr(header.body);
        // A line that is no field ends the header; what we put before it must not swallow it.
        const bool ends_header =
            !rest.empty() && !rest.starts_with("\r\n") && !message::parse_field(rest);
        if (ends_header) buffer_ += "\r\n";
        buffer_ += rest;
        std::string().swap(header_);
    }

    static bool is_blind(std::string_view name) {
        return equal_ignoring_case(name, "Bcc") || equal_ignoring_case(name, "Resent-Bcc");
    }

    [[nodiscard]] std::string trace_fields(const message::Header& header) const {
        const auto& host = context_.settings.hostname;
        const auto now = context_.clock.now();
        std::string fields =
            message::received_field({peer_.helo, peer_.address, protocol_of(peer_, envelope_.utf8),
                                     peer_.name, peer_.tls_protocol, peer_.tls_cipher},
                                    host, id_, now);
        // RFC 6409 8: completing a message is for its submission alone.
        if (!is_submission(peer_)) return fields;
        if (!find_field(header, "Message-ID")) fields += message::message_id_field(id_, host);
        if (!find_field(header, "Date")) fields += message::date_field(now);
        return fields;
    }

    /// Makes the message ours; on the disk's threads, as flush() is.
    Result<void> write_all() {
        if (!error_.what.empty()) return tl::unexpected(error_);
        MAILROOT_TRY(flush());
        return file_->commit();
    }

    /// Writes what is buffered.
    Result<void> flush() {
        if (!file_) {
            auto file = to_drop_ ? folders::Drop(context_.mailroot).begin(id_, envelope_)
                                 : folders::Queue(context_.mailroot).begin(id_, envelope_);
            if (!file) return fail(std::move(file));
            file_.emplace(std::move(*file));
        }
        MAILROOT_TRY(file_->append(buffer_));
        octets_ += buffer_.size();
        buffer_.clear();
        return {};
    }

    const Context& context_;
    const Peer peer_;
    const Envelope envelope_;
    const MessageId id_;
    const bool to_drop_;
    const Stored stored_;
    std::string header_;  ///< as far as it has come
    bool header_done_ = false;
    std::uint64_t hops_ = 0;
    std::string buffer_;  ///< not on the disk yet
    std::uint64_t octets_ = 0;
    std::optional<folders::NewMessage> file_;
    Error error_{Error::Kind::io, ""};  ///< the first that a portion met
};

}  // namespace

std::unique_ptr<smtp::IncomingMessage> make_incoming_file(const Context& context,
                                                          const Peer& client, Envelope envelope,
                                                          Stored stored) {
    return std::make_unique<IncomingFile>(context, client, std::move(envelope), std::move(stored));
}

}  // namespace mailroot::delivery
