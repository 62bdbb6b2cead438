#include "core/envelope.hpp"

#include <algorithm>
#include <string_view>

namespace mailroot {

namespace {

std::string_view keyword_of(Event event) {
    switch (event) {
        case Event::success:
            return "success";
        case Event::failure:
            return "failure";
        case Event::delay:
            break;
    }
    return "delay";
}

}  // namespace

bool wants_report(const Recipient& recipient, Event event) {
    if (recipient.notify.empty()) return event != Event::success;
    return lower_case(recipient.notify).find(keyword_of(event)) != std::string::npos;
}

bool wants_success_report(const Envelope& envelope) {
    const auto wanted = [](const Recipient& recipient) {
        return wants_report(recipient, Event::success);
    };
    return !envelope.reverse_path.is_null() && std::ranges::any_of(envelope.recipients, wanted);
}

}  // namespace mailroot
