#pragma once

#include "delivery/context.hpp"
#include "smtp/intake.hpp"

#include <memory>

namespace mailroot::delivery {

/// Takes messages from the SMTP server. One whose recipients are all local becomes a file of Drop
/// at once; any other one of Queue, and Context::accepted is called.
class SmtpIntake final : public smtp::Intake {
 public:
    explicit SmtpIntake(const Context& context) : context_(context) {}

    Reply check_recipient(const Peer& peer, const Envelope& so_far,
                          const Address& recipient) override;
    std::unique_ptr<smtp::IncomingMessage> begin(const Peer& peer,
                                                 Envelope envelope) override;

 private:
    const Context& context_;
};

}  // namespace mailroot::delivery
