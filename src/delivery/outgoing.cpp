#include "delivery/outgoing.hpp"

namespace mailroot::delivery {

smtp::Task<Result<std::string>> FileMessage::next() {
    auto read = [this] { return reader_->next(); };
    auto octets = co_await on_disk(context_, read);
    at_end_ = octets && octets->empty();
    co_return octets;
}

}  // namespace mailroot::delivery
