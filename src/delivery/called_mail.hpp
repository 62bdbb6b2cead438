#pragma once

#include "delivery/context.hpp"
#include "delivery/queue_runner.hpp"
#include "delivery/recipient_policy.hpp"
#include "smtp/intake.hpp"

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace mailroot::delivery {

/// Sends what waits in Queue when its host asks for it: by ETRN the ordinary way, by ATRN over the
/// connection that the host opened.
class CalledMail final : public smtp::QueueTrigger {
 public:
    /// All must outlive it; `attempts` bounds how much is in hand at once, here and elsewhere.
    CalledMail(const Context& context, QueueRunner& queue, const RecipientPolicy& policy,
               smtp::TaskGroup& attempts)
        : context_(context),
          queue_(queue),
          policy_(policy),
          attempts_(attempts),
          changed_(context.loop) {}

    /// Works off what ETRN asked for, until stop().
    smtp::Task<void> run();
    void stop();

    /// Those who may relay may ask for any domain, others for one of `domains.remote`, `@` before
    /// it for those below it too. Answered before the queue was looked through: nobody can keep us
    /// reading it by asking again and again.
    smtp::Task<Reply> start_queue(const Peer& client, std::string node) override;
    smtp::Task<Reply> check_turn(const Peer& client, std::vector<std::string> domains) override;
    smtp::Task<void> turn(const Peer& client, std::vector<std::string> domains,
                          std::unique_ptr<smtp::ClientConnection> connection) override;

 private:
    using Ids = std::vector<MessageId>;

    smtp::Task<Result<Ids>> find(const Called& called) const;
    [[nodiscard]] bool may_turn(const std::string& user, std::string_view domain) const;
    [[nodiscard]] std::function<bool(std::string_view)> mail_of(
        const std::string& user, std::vector<std::string> domains) const;
    smtp::Task<void> send_called();

    const Context& context_;
    QueueRunner& queue_;
    const RecipientPolicy& policy_;
    smtp::TaskGroup& attempts_;
    std::set<std::string> wanted_;  ///< by ETRN, `example.com` and `*.example.com`
    smtp::Signal changed_;
    bool stopping_ = false;
};

}  // namespace mailroot::delivery
