#pragma once

#include "delivery/context.hpp"
#include "smtp/loop.hpp"

namespace mailroot::delivery {

/// Makes what left Queue, and what was shown in Drop and Badmail, durable within a second, shared
/// by all that happened meanwhile: after a power cut it would else come back and go out again.
class FolderSync {
 public:
    /// `context` must outlive it.
    explicit FolderSync(const Context& context) : context_(context), changed_(context.loop) {}

    /// Something changed; Context::moved_on calls this.
    void wanted();

    /// Syncs when it is wanted, until stop(), and a last time then.
    smtp::Task<void> run();
    void stop();

 private:
    const Context& context_;
    smtp::Signal changed_;
    bool wanted_ = false;
    bool stopping_ = false;
};

/// Runs a pass over a folder to its end, and FolderSync beside it.
smtp::Task<void> with_folder_sync(Context& context, smtp::Task<void> pass);

}  // namespace mailroot::delivery
