#pragma once

#include "delivery/complaints.hpp"
#include "delivery/context.hpp"
#include "delivery/courier.hpp"
#include "folders/badmail.hpp"
#include "folders/queue.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace mailroot::delivery {

/// What one attempt at a pickup file came to.
struct PickupResult : AttemptResult {
    /// It lies in Pickup again, for this reason: look at it later, not at once.
    std::optional<Error> put_back;
};

/// Attempts files taken from Pickup. Straight out where all recipients share one route, without a
/// copy and without a sync; else, and where that did not settle it, by way of a canonical message
/// in Queue under the same id (state Q2). What cannot be read as mail goes to Badmail as it is.
class PickupCourier {
 public:
    /// Both must outlive it.
    PickupCourier(const Context& context, Courier& courier)
        : context_(context), courier_(courier), complaints_(context.log) {}

    /// How long a file is kept from going to Queue where its host has no connection free for it. To
    /// be called where others would wait for the place that it takes; else it is kept for ever.
    void set_patience(std::chrono::milliseconds patience) { patience_ = patience; }

    /// `name` is the file's in Pickup; empty where it is not known any more.
    smtp::Task<PickupResult> attempt(folders::TakenPickup file, std::string name);

 private:
    struct Taken;

    smtp::Task<PickupResult> send(Taken& taken);
    smtp::Task<PickupResult> send_straight(Taken& taken, const Leg& leg);
    std::uint64_t note_delivered(Taken& taken, const Leg& leg,
                                 const std::vector<Verdict>& verdicts) const;
    smtp::Task<PickupResult> drop_straight(Taken& taken);
    [[nodiscard]] Result<void> make_canonical(Taken& taken) const;
    smtp::Task<PickupResult> queue_up(Taken& taken, std::vector<Verdict> verdicts);
    smtp::Task<PickupResult> let_wait(Taken& taken);
    smtp::Task<PickupResult> reject(Taken& taken, folders::BadmailReason reason,
                                    std::string explanation);
    [[nodiscard]] PickupResult leave(const Taken& taken, const Error& reason) const;
    smtp::Task<PickupResult> put_back(Taken& taken, const Error& reason);
    [[nodiscard]] message::PickupRules rules() const;
    [[nodiscard]] std::string added_fields(const Taken& taken) const;

    const Context& context_;
    Courier& courier_;
    Complaints complaints_;
    std::chrono::milliseconds patience_ = std::chrono::hours(24);
};

}  // namespace mailroot::delivery
