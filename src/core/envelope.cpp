#include "core/envelope.hpp"

namespace mailroot {

bool wants_failure_report(const Recipient& recipient) {
    return recipient.notify.empty() ||
           lower_case(recipient.notify).find("failure") != std::string::npos;
}

}  // namespace mailroot
