#pragma once

#include "core/result.hpp"
#include "os/files.hpp"

#include <string>
#include <vector>

namespace mailroot::os {

/// What the system tells of a folder's files (inotify).
class FolderWatch {
 public:
    struct Event {
        enum class Kind {
            whole,    ///< a writer closed the file, or it was moved in
            changed,  ///< its times or permissions were set
            lost,     ///< events were dropped: look at everything
            moved,    ///< the folder itself went, and may be watched no more: open it anew
        };
        Kind kind;
        std::string name;  ///< empty for `lost` and `moved`
    };

    /// What is told: of the files, or only that the folder itself went.
    enum class Of { files, folder };

    /// Watches one folder. Kind::unavailable where the system has no inotify to give.
    static Result<FolderWatch> open(const Folder& folder, Of of);

    /// Readable when events wait.
    [[nodiscard]] int descriptor() const { return fd_.number(); }

    /// The events that wait; never blocks.
    [[nodiscard]] std::vector<Event> events();

 private:
    explicit FolderWatch(Fd fd) : fd_(std::move(fd)) {}
    Fd fd_;
};

}  // namespace mailroot::os
