#pragma once

#include "delivery/context.hpp"
#include "smtp/loop.hpp"

#include <array>
#include <cstddef>
#include <optional>

namespace mailroot::delivery {

/// Clears Badmail of what is too old or too much (retention_policy.hpp), for as long as the service
/// runs.
class BadmailRetention {
 public:
    /// `context` must outlive it. Knows at most `portion` entries by name at a time.
    explicit BadmailRetention(const Context& context, std::size_t portion = 50'000)
        : context_(context), portion_(portion), changed_(context.loop) {}

    /// At once and then every hour, until stop().
    smtp::Task<void> run();
    void stop();

    /// Once, to the end.
    smtp::Task<void> apply();

 private:
    struct Cleared {
        std::array<std::size_t, 3> by{};  ///< indexed by GoesBy
        std::optional<Error> failure;     ///< the first one
    };

    smtp::Task<bool> clear_portion(Cleared& cleared);
    void say(const Cleared& cleared);

    const Context& context_;
    const std::size_t portion_;
    smtp::Signal changed_;
    bool stopping_ = false;
};

}  // namespace mailroot::delivery
