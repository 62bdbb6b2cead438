#pragma once

#include "core/result.hpp"
#include "folders/mailroot.hpp"
#include "folders/message_reader.hpp"
#include "os/new_file.hpp"

#include <string>
#include <string_view>

namespace mailroot::folders {

/// A message going from Queue to Drop or Badmail, exactly once: ready, settle the source, show.
/// Before show() no consumer can take the file; after it nothing is left that would write it again.
/// Locked throughout. Where the source could not be settled the ready file stays: recover()
/// finishes it.
class HandOver {
 public:
    /// Writes `block` and the message to `.<name>.tmp` and makes it `.<name>.ready`, synced with
    /// the folder (state H2). Now the caller settles the source. Kind::exists where an earlier
    /// hand-over of that name is not finished yet.
    static Result<HandOver> prepare(const Mailroot& mailroot, const os::Folder& folder,
                                    std::string name, std::string_view block,
                                    MessageReader& reader);

    /// Gives the file its final name (states D, B); Kind::exists where that is taken. Not synced:
    /// lost in a power cut, the rename is made again from the ready file.
    Result<void> show(std::string_view final_name);

 private:
    explicit HandOver(os::NewFile file) : file_(std::move(file)) {}

    os::NewFile file_;
};

}  // namespace mailroot::folders
