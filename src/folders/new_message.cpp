#include "folders/new_message.hpp"

namespace mailroot::folders {

std::string message_name(const MessageId& id) {
    return id.text() + ".eml";
}

Result<NewMessage> NewMessage::begin(const Mailroot& mailroot, const os::Folder& folder,
                                     const MessageId& id, std::string_view block) {
    auto file = os::NewFile::create(mailroot.files, folder, '.' + id.text() + ".tmp");
    if (!file) return fail(std::move(file));
    MAILROOT_TRY(file->append(block));
    return NewMessage(mailroot, folder, id, std::move(*file));
}

Result<void> NewMessage::commit() {
    MAILROOT_TRY(file_.name(message_name(id_)));
    auto durable = mailroot_.files.sync(folder_);
    // We will not answer for it, so its sender will send it again: it must not be there twice.
    if (!durable) (void)mailroot_.files.unlink(folder_, message_name(id_));
    return durable;
}

}  // namespace mailroot::folders
