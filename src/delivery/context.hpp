#pragma once

#include "config/settings.hpp"
#include "core/clock.hpp"
#include "core/event_log.hpp"
#include "core/message_id.hpp"
#include "folders/mailroot.hpp"
#include "smtp/loop.hpp"

#include <functional>
#include <random>

namespace mailroot::delivery {

/// What all parts of delivery share. Everything referred to outlives them.
struct Context {
    const folders::Mailroot& mailroot;
    const config::Settings& settings;
    const Clock& clock;
    MessageIdSource& ids;
    EventLog& log;
    smtp::Loop& loop;
    smtp::Threads& disk;   ///< all that blocks on the disk runs there
    std::mt19937& random;  ///< of the loop's thread

    /// Called from the loop when a message was accepted into Queue.
    std::function<void(const MessageId&)> accepted;

    /// Called from the loop when a file left Queue or Badmail, or was shown in Drop or Badmail
    /// (FolderSync).
    std::function<void()> moved_on = [] {};
};

/// Runs blocking work on the disk's threads.
template <class Work>
auto on_disk(const Context& context, Work work) {
    return smtp::in_background(context.disk, std::move(work));
}

/// Destroys something that blocks on the disk as it goes, on the disk's threads.
template <class T>
void let_go(const Context& context, T thing) {
    smtp::run_in_background(context.disk, [thing = std::move(thing)] {});
}

}  // namespace mailroot::delivery
