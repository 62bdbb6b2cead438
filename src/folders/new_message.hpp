#pragma once

#include "core/message_id.hpp"
#include "core/result.hpp"
#include "folders/mailroot.hpp"
#include "os/new_file.hpp"

#include <string_view>

namespace mailroot::folders {

/// A message being written to `Queue/.<id>.tmp` or `Drop/.<id>.tmp` (states Q1, H1). Visible to
/// nobody until commit(); destroyed before it, nothing remains.
class NewMessage {
 public:
    /// `folder` is the mailroot's queue or drop; `block` the envelope block in its form for that
    /// folder. The mailroot must outlive the message.
    static Result<NewMessage> begin(const Mailroot& mailroot, const os::Folder& folder,
                                    const MessageId& id, std::string_view block);

    Result<void> append(std::string_view octets) { return file_.append(octets); }

    /// Becomes `<id>.eml`: file synced, renamed, folder synced. From here on we answer for it.
    Result<void> commit();

 private:
    NewMessage(const Mailroot& mailroot, const os::Folder& folder, const MessageId& id,
               os::NewFile file)
        : mailroot_(mailroot), folder_(folder), id_(id), file_(std::move(file)) {}

    const Mailroot& mailroot_;
    const os::Folder& folder_;
    const MessageId id_;
    os::NewFile file_;
};

/// The name of a message file: `<id>.eml`.
[[nodiscard]] std::string message_name(const MessageId& id);

}  // namespace mailroot::folders
