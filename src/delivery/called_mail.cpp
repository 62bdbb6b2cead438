#include "delivery/called_mail.hpp"

#include "config/forms.hpp"
#include "delivery/local_domains.hpp"
#include "folders/queue.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace mailroot::delivery {

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

// Domains that are remembered until the queue is looked through.
constexpr std::size_t k_most_wanted = 1000;

// The queue is read message by message: the longer that takes, the longer it has to do.
constexpr auto k_least_rest = 1s;
constexpr int k_rest = 10;

template <class Patterns>
bool matches_any(const Patterns& patterns, std::string_view domain) {
    return std::ranges::any_of(
        patterns, [domain](const std::string& pattern) { return same_domain(pattern, domain); });
}

bool waits_for(const Called& called, const Envelope& envelope) {
    return std::ranges::any_of(envelope.recipients, [&](const Recipient& recipient) {
        return !recipient.settled && called.names(recipient.address.domain);
    });
}

/// Of one portion of the folder what waits for the called, not what is held.
Result<std::vector<MessageId>> called_of(const folders::Queue& queue, const Called& called,
                                         const folders::Queue::Portion& portion) {
    std::vector<MessageId> ids;
    for (const auto& entry : portion.entries) {
        if (entry.pickup || entry.next_attempt >= folders::held_from()) continue;
        const auto waiting = queue.look(entry);
        // What is gone or damaged is told by who attempts it.
        if (waiting && waits_for(called, waiting->envelope)) ids.push_back(entry.id);
    }
    return ids;
}

}  // namespace

smtp::Task<Result<CalledMail::Ids>> CalledMail::find(const Called& called) const {
    const folders::Queue queue(context_.mailroot);
    auto begin = [&queue] { return queue.scan(); };
    auto scan = co_await on_disk(context_, begin);
    if (!scan) co_return fail(std::move(scan));
    Ids all;
    for (bool last = false; !last && !stopping_;) {
        auto read = [&]() -> Result<Ids> {
            const auto portion = scan->next();
            if (!portion) return tl::unexpected(portion.error());
            last = portion->last;
            return called_of(queue, called, *portion);
        };
        const auto ids = co_await on_disk(context_, read);
        if (!ids) co_return tl::unexpected(ids.error());
        all.insert(all.end(), ids->begin(), ids->end());
    }
    std::ranges::sort(all);  // ids begin with the time of arrival
    co_return all;
}

void CalledMail::stop() {
    stopping_ = true;
    changed_.notify();
}

smtp::Task<void> CalledMail::run() {
    while (!stopping_) {
        if (wanted_.empty()) {
            co_await changed_.wait();
            continue;
        }
        const auto began = steady_clock::now();
        co_await send_called();
        const auto now = steady_clock::now();
        const auto rest_until =
            now + std::max<steady_clock::duration>(k_least_rest, (now - began) * k_rest);
        while (!stopping_ && steady_clock::now() < rest_until) {
            co_await changed_.wait_for(
                std::chrono::ceil<std::chrono::milliseconds>(rest_until - steady_clock::now()));
        }
    }
}

smtp::Task<void> CalledMail::send_called() {
    const auto called = std::make_shared<Called>();
    called->names = [wanted = std::exchange(wanted_, {})](std::string_view domain) {
        return matches_any(wanted, domain);
    };
    const auto ids = co_await find(*called);
    if (!ids) {
        context_.log.warning(ids.error().what);
        co_return;
    }
    for (const auto& id : *ids) {
        co_await attempts_.room();
        if (stopping_) co_return;
        attempts_.start(queue_.attempt_called(id, called));
    }
}

smtp::Task<Reply> CalledMail::start_queue(const Peer& client, std::string node) {
    const bool all_below = node.starts_with('@');
    const auto domain = lower_case(std::string_view(node).substr(all_below ? 1 : 0));
    if (!config::is_domain_pattern(domain) || domain.starts_with('*')) {
        co_return reply(501, "5.5.4", "Syntax: ETRN domain");
    }
    const auto& domains = context_.settings.domains;
    const bool allowed = policy_.may_relay(client) || remote_domain(domains, domain) != nullptr;
    if (!allowed || is_local(domains, domain)) {
        co_return reply(459, "4.7.1", "Node " + node + " not allowed");
    }
    if (wanted_.size() >= k_most_wanted) {
        co_return reply(458, "4.3.2", "Unable to queue messages for node " + node);
    }
    wanted_.insert(domain);
    if (all_below) wanted_.insert("*." + domain);
    changed_.notify();
    co_return reply(250, "2.0.0", "OK, queuing for node " + node + " started");
}

/// The nearest that is said of a domain counts, so that what is another user's is not fetched by
/// `*.example.com` either.
bool CalledMail::may_turn(const std::string& user, std::string_view domain) const {
    const auto* remote = remote_domain(context_.settings.domains, domain);
    return remote != nullptr && std::ranges::find(remote->turn, user) != remote->turn.end();
}

/// Mail of this user, for these domains; without any, all of it.
std::function<bool(std::string_view)> CalledMail::mail_of(const std::string& user,
                                                          std::vector<std::string> domains) const {
    return [this, user, domains = std::move(domains)](std::string_view domain) {
        return (domains.empty() || matches_any(domains, domain)) && may_turn(user, domain);
    };
}

smtp::Task<Reply> CalledMail::check_turn(const Peer& client, std::vector<std::string> domains) {
    const auto& remote = context_.settings.domains.remote;
    const bool allowed =
        domains.empty()
            ? std::ranges::any_of(
                  remote, [&](const auto& entry) { return may_turn(client.user, entry.first); })
            : std::ranges::all_of(domains, [&](const std::string& domain) {
                  return config::is_domain(domain) && may_turn(client.user, domain);
              });
    if (!allowed) co_return reply(450, "4.7.1", "ATRN request refused");
    Called called;
    called.names = mail_of(client.user, std::move(domains));
    const auto ids = co_await find(called);
    if (!ids) {
        context_.log.warning(ids.error().what);
        co_return reply(451, "4.3.0", "Unable to process ATRN request now");
    }
    if (ids->empty()) co_return reply(453, "4.0.0", "You have no mail");
    co_return reply(250, "2.0.0", "OK now reversing the connection");
}

smtp::Task<void> CalledMail::turn(const Peer& client, std::vector<std::string> domains,
                                  std::unique_ptr<smtp::ClientConnection> connection) {
    const auto called = std::make_shared<Called>();
    called->names = mail_of(client.user, std::move(domains));
    called->connection = std::move(connection);
    const auto ids = co_await find(*called);
    if (!ids) context_.log.warning(ids.error().what);
    for (const auto& id : ids.value_or(Ids{})) {
        if (stopping_ || !called->connection->usable()) break;
        co_await queue_.attempt_called(id, called);
    }
    if (called->connection->usable()) co_await called->connection->quit();
}

}  // namespace mailroot::delivery
