#include "core/envelope.hpp"

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

}  // namespace mailroot
