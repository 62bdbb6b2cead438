#pragma once

#include "core/reactor.hpp"
#include "delivery/complaints.hpp"
#include "delivery/context.hpp"
#include "os/folder_watch.hpp"
#include "smtp/loop.hpp"

#include <functional>
#include <optional>
#include <string>

namespace mailroot::delivery {

/// What the system tells of the files in one folder, for as long as the service runs: through
/// follow() of the folder that stands at the path, whatever was done to the one before.
class FolderEvents {
 public:
    using Event = os::FolderWatch::Event;

    /// `heard` is called from the loop for each event but Kind::moved, which is made Kind::lost.
    /// All must outlive it.
    FolderEvents(const Context& context, Reactor& reactor, const os::Folder& folder,
                 os::FolderWatch::Of of, std::function<void(const Event&)> heard);
    ~FolderEvents();

    /// Looks at what stands at the folder's path, and asks for its events where none are told yet.
    /// To be called before each look at the whole folder; false where there is no folder to look
    /// at. What is wrong is said in the log, once.
    smtp::Task<bool> follow();

    /// Keeps events waiting, until let_through() tells them together: a step of our own may bring
    /// about many.
    void hold_back();
    void let_through();

    /// Whether events are told. Where not, looking at the folder is all there is.
    [[nodiscard]] bool told() const { return watch_.has_value(); }

 private:
    smtp::Task<os::Standing> look();
    void open();
    void listen();
    void close();
    void take();

    const Context& context_;
    Reactor& reactor_;
    const os::Folder& folder_;
    const os::FolderWatch::Of of_;
    const std::function<void(const Event&)> heard_;
    std::optional<os::FolderWatch> watch_;
    bool held_back_ = false;
    Complaints complaints_;
};

}  // namespace mailroot::delivery
