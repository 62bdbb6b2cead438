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

}  // namespace mailroot::folders
