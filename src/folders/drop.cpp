#include "folders/drop.hpp"

#include "message/envelope_block.hpp"

namespace mailroot::folders {

Result<NewMessage> Drop::begin(const MessageId& id, const Envelope& envelope) const {
    return NewMessage::begin(mailroot_, mailroot_.drop, id, message::drop_block(envelope));
}

Result<HandOver> Drop::prepare(const MessageId& id, const Envelope& envelope,
                               MessageReader& reader) const {
    return HandOver::prepare(mailroot_, mailroot_.drop, id.text(), message::drop_block(envelope),
                             reader);
}

Result<void> Drop::show(HandOver& file, const MessageId& id, const MessageId& spare) const {
    auto shown = file.show(message_name(id));
    if (!shown && shown.error().kind == Error::Kind::exists) shown = file.show(message_name(spare));
    return shown;
}

Result<std::uint64_t> Drop::octets() const {
    std::uint64_t sum = 0;
    const auto add = [&](std::string_view name) {
        // What is gone meanwhile takes no room.
        if (const auto info = mailroot_.files.info(mailroot_.drop, name)) sum += info->size;
    };
    MAILROOT_TRY(os::for_each_name(mailroot_.files, mailroot_.drop, add));
    return sum;
}

}  // namespace mailroot::folders
