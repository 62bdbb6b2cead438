#include "delivery/badmail_retention.hpp"

#include "delivery/retention_policy.hpp"
#include "folders/badmail.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace mailroot::delivery {

namespace {

constexpr std::chrono::hours k_interval{1};

/// The settings, in the order of GoesBy.
constexpr std::array<std::string_view, 3> k_keys{"badmail.keep", "badmail.maxSize",
                                                 "badmail.maxCount"};

bool limits_anything(const config::Settings::Badmail& policy) {
    return policy.keep != policy.keep.zero() || policy.max_size != 0 || policy.max_count != 0;
}

}  // namespace

void BadmailRetention::stop() {
    stopping_ = true;
    changed_.notify();
}

smtp::Task<void> BadmailRetention::run() {
    while (!stopping_) {
        co_await apply();
        if (!stopping_) co_await changed_.wait_for(k_interval);
    }
}

smtp::Task<void> BadmailRetention::apply() {
    Cleared cleared;
    bool more = limits_anything(context_.settings.badmail);
    while (more && !stopping_) more = co_await clear_portion(cleared);
    say(cleared);
}

/// Looks at the folder and removes what has to go, as far as it is known by name. Whether the rest
/// has to be looked at for more.
smtp::Task<bool> BadmailRetention::clear_portion(Cleared& cleared) {
    auto look = [this] { return folders::Badmail(context_.mailroot).stock(portion_); };
    const auto stock = co_await on_disk(context_, look);
    if (!stock) {
        cleared.failure = stock.error();
        co_return false;
    }
    const auto going = what_goes(context_.settings.badmail, *stock, context_.clock.now());
    bool any = false;
    for (const auto& [id, by] : going) {
        if (stopping_) break;
        auto remove = [this, name = id.text()] {
            return folders::Badmail(context_.mailroot).remove(name);
        };
        const auto removed = co_await on_disk(context_, remove);
        if (!removed && !cleared.failure) cleared.failure = removed.error();
        if (!removed || !*removed) continue;
        any = true;
        ++cleared.by[static_cast<std::size_t>(by)];
        context_.moved_on();
    }
    // What could not be removed would be found again.
    co_return any&& going.size() == portion_;
}

void BadmailRetention::say(const Cleared& cleared) {
    if (cleared.failure) context_.log.warning(cleared.failure->what);
    std::string parts;
    std::size_t all = 0;
    for (std::size_t i = 0; i < k_keys.size(); ++i) {
        if (cleared.by[i] == 0) continue;
        all += cleared.by[i];
        parts += (parts.empty() ? "" : ", ") + std::to_string(cleared.by[i]) + " by ";
        parts += k_keys[i];
    }
    if (all != 0) context_.log.notice("removed " + std::to_string(all) + " from Badmail: " + parts);
}

}  // namespace mailroot::delivery
