#include "delivery/queue_runner.hpp"

#include "delivery/rescan.hpp"
#include "delivery/retry_policy.hpp"

#include <algorithm>
#include <random>
#include <utility>
#include <variant>
#include <vector>

namespace mailroot::delivery {

namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// The wall clock may be set while we wait by the monotonic one.
constexpr milliseconds k_longest_wait = 1min;

// How long events are gathered before the files are looked at.
constexpr milliseconds k_gather{100};

// In hand of those that have several destinations, of which one may be slow.
constexpr std::size_t k_room_of_several = 300;

// Messages of a kind that are known by heart; of more than these, those that are due soonest.
constexpr std::size_t k_known = 50'000;

}  // namespace

QueueRunner::QueueRunner(const Context& context, Reactor& reactor, Courier& courier,
                         PickupCourier& pickup_courier, smtp::TaskGroup& attempts)
    : context_(context),
      courier_(courier),
      pickup_courier_(pickup_courier),
      attempts_(attempts),
      events_(context, reactor, context.mailroot.queue, os::FolderWatch::Of::files,
              [this](const FolderEvents::Event& event) { heard(event); }),
      by_hand_(
          context, folders::Pickup::Place::queue, pickup_courier, attempts,
          [this](const MessageId& id, TimePoint due) { waits(id, due); }, [] {}),
      dispatcher_(k_known),
      complaints_(context.log),
      changed_(context.loop) {
    dispatcher_.room(number_of(k_several), {k_room_of_several, {}});
    courier.destinations().on_room([this](const std::string& destination, Destinations::Room room) {
        dispatcher_.room(number_of(destination), room);
        changed_.notify();
    });
}

QueueRunner::~QueueRunner() {
    courier_.destinations().on_room([](const std::string&, Destinations::Room) {});
}

void QueueRunner::waits(const MessageId& id, TimePoint due) {
    dispatcher_.waits(id, due);
    changed_.notify();
}

void QueueRunner::stop() {
    stopping_ = true;
    changed_.notify();
    by_hand_.stop();
}

smtp::Task<void> QueueRunner::run() {
    smtp::TaskGroup all(context_.loop);
    all.start(keep_looking());
    all.start(attempt_due());
    all.start(keep_putting_off());
    all.start(by_hand_.run());
    co_await all.idle();
}

smtp::Task<void> QueueRunner::attempt_due() {
    while (!stopping_) {
        co_await attempts_.room();
        // One time for both: what gets due between the two would be slept over.
        const auto now = context_.clock.now();
        if (stopping_ || start_next(now)) continue;
        const auto until = dispatcher_.next_due(now).value_or(now + k_longest_wait) - now;
        co_await changed_.wait_for(
            std::min(k_longest_wait, std::chrono::ceil<milliseconds>(until)));
    }
}

/// Starts what is to be done next; false where nothing is.
bool QueueRunner::start_next(TimePoint now) {
    if (!to_resume_.empty()) {
        const auto id = to_resume_.extract(to_resume_.begin()).value();
        if (active_.insert(id).second) attempts_.start(resume(id));
        return true;
    }
    auto next = dispatcher_.next(now, steady_clock::now(), try_before());
    if (const auto* one = std::get_if<Dispatcher::Attempt>(&next)) {
        start(*one);
    } else if (auto* order = std::get_if<Dispatcher::PutOff>(&next)) {
        to_put_off_.push_back(std::move(*order));
        changed_.notify();
    }
    return !std::holds_alternative<std::monostate>(next);
}

void QueueRunner::start(const Dispatcher::Attempt& next) {
    if (!active_.insert(next.id).second) return dispatcher_.done(next.place);
    AttemptOptions options;
    options.asked_for = next.asked_for;
    attempts_.start(attempt(next, context_.clock.now(), std::move(options)));
}

/// What came before this is judged anew: its sender may have to hear that it is late, or for good.
TimePoint QueueRunner::try_before() const {
    const auto policy = retry_policy(context_.settings.delivery, false);
    const bool tells = policy.delay_notice.count() > 0;
    return context_.clock.now() -
           (tells ? std::min(policy.delay_notice, policy.expire) : policy.expire);
}

smtp::Task<void> QueueRunner::attempt_called(MessageId id, std::shared_ptr<const Called> called) {
    if (!active_.insert(id).second) co_return;
    AttemptOptions options;
    options.called = std::move(called);
    const Dispatcher::Attempt next{id, Mail::tried, 0, true};
    dispatcher_.take_place(next.place, steady_clock::now());
    co_await attempt(next, folders::whenever_due(), std::move(options));
}

smtp::Task<void> QueueRunner::attempt(Dispatcher::Attempt next, TimePoint due_by,
                                      AttemptOptions options) {
    const auto id = next.id;
    auto claim = [this, id, due_by] { return folders::Queue(context_.mailroot).claim(id, due_by); };
    auto message = co_await on_disk(context_, claim);
    auto place = next.place;
    // Only now it is known where it goes.
    auto take_place = [this, &place](const std::string& destination) {
        const auto number = number_of(destination);
        if (number == place) return true;
        if (!dispatcher_.take_place(number, steady_clock::now())) return false;
        dispatcher_.done(std::exchange(place, number));
        return true;
    };
    if (!options.asked_for && !options.called) options.has_room = take_place;
    if (!message) {
        complaints_.say(id.text(), message.error());
    } else if (*message) {
        complaints_.forget(id.text());
        const auto result = co_await courier_.attempt(std::move(**message), std::move(options));
        const auto number = number_of(result.destination);
        if (result.crowded) dispatcher_.put_in_line(id, next.mail, number);
        if (result.next_attempt) dispatcher_.waits(id, *result.next_attempt, number);
    }
    // Gone, another's, or not due after all: the next look knows.
    dispatcher_.done(place);
    done_with(id);
}

/// One order after another: all at once they would keep the disk's threads from others.
smtp::Task<void> QueueRunner::keep_putting_off() {
    while (!stopping_) {
        if (to_put_off_.empty()) {
            co_await changed_.wait();
            continue;
        }
        auto order = std::move(to_put_off_.front());
        to_put_off_.pop_front();
        co_await put_off(std::move(order));
    }
}

/// Nobody can be reached, which these need not be told again.
smtp::Task<void> QueueRunner::put_off(Dispatcher::PutOff order) {
    const auto now = context_.clock.now();
    const auto policy = retry_policy(context_.settings.delivery, false);
    std::vector<std::pair<MessageId, TimePoint>> put_off;
    for (const auto& id : order.ids) {
        const double jitter = std::uniform_real_distribution(-1.0, 1.0)(context_.random);
        const auto due = next_attempt_by_age(policy, id.arrival(), now, jitter);
        put_off.emplace_back(id, due);
    }
    auto write = [this, &put_off, now] {
        const folders::Queue queue(context_.mailroot);
        std::erase_if(put_off, [&](const auto& one) {
            return !queue.put_off(one.first, now, one.second).value_or(false);
        });
        return true;
    };
    events_.hold_back();
    co_await on_disk(context_, write);
    // What is not put off the next look knows.
    for (const auto& [id, due] : put_off) {
        dispatcher_.waits(id, due, order.destination);
        own_changes_.insert(folders::message_name(id));
    }
    events_.let_through();
    own_changes_.clear();
    changed_.notify();
}

smtp::Task<void> QueueRunner::resume(MessageId id) {
    auto take = [this, id] { return folders::Queue(context_.mailroot).resume(id); };
    auto file = co_await on_disk(context_, take);
    if (!file) {
        complaints_.say(folders::pickup_name(id), file.error());
    } else if (*file) {
        const auto result = co_await pickup_courier_.attempt(std::move(**file), "");
        if (result.next_attempt) dispatcher_.waits(id, *result.next_attempt);
    }
    done_with(id);
}

/// Somebody may have touched the file while we had it in hand: what it says now counts.
void QueueRunner::done_with(const MessageId& id) {
    active_.erase(id);
    if (changed_meanwhile_.erase(id) > 0) heard_.insert(folders::message_name(id));
    changed_.notify();
}

void QueueRunner::heard(const FolderEvents::Event& event) {
    using Kind = FolderEvents::Event::Kind;
    if (event.kind == Kind::changed && own_changes_.contains(event.name)) return;
    const bool is_message = folders::Queue::is_message(event.name);
    if (event.kind == Kind::lost || (is_message && heard_.size() >= k_known)) {
        look_soon();
    } else if (is_message) {
        heard_.insert(event.name);
        changed_.notify();
    } else if (event.kind == Kind::whole) {
        by_hand_.closed(event.name);
    }
}

void QueueRunner::look_soon() {
    next_look_ = {};
    changed_.notify();
}

milliseconds QueueRunner::until_look() const {
    auto until = std::chrono::ceil<milliseconds>(next_look_ - steady_clock::now());
    if (const auto due = dispatcher_.look_needed())
        until = std::min(until, std::chrono::ceil<milliseconds>(*due - context_.clock.now()));
    return until;
}

smtp::Task<void> QueueRunner::keep_looking() {
    while (!stopping_) {
        const auto until = until_look();
        if (until <= 0ms) {
            co_await look();
        } else if (!heard_.empty()) {
            co_await look_at_heard();
        } else {
            co_await changed_.wait_for(std::min(until, k_longest_wait));
        }
    }
}

smtp::Task<void> QueueRunner::look_at_heard() {
    // Most of it is our own doing, and over by then.
    co_await smtp::pause(k_gather);
    std::vector<std::string> names(heard_.begin(), heard_.end());
    heard_.clear();
    auto find = [this, &names] { return folders::Queue(context_.mailroot).find(names); };
    take_in(co_await on_disk(context_, find));
}

smtp::Task<void> QueueRunner::look() {
    const auto rescan = context_.settings.pickup.rescan;
    // What asks for a look from here on asks for another one.
    next_look_ = steady_clock::now() + rescan;
    dispatcher_.look_begins();
    // Watched first: what comes while we look is told.
    if (!co_await events_.follow()) co_return;
    by_hand_.look_begins();
    auto begin = [this] { return folders::Queue(context_.mailroot).scan(); };
    auto scan = co_await on_disk(context_, begin);
    steady_clock::duration took{};
    for (bool last = false; scan && !last && !stopping_;) {
        auto read = [&]() -> Result<folders::Queue::Portion> {
            const auto began = steady_clock::now();
            auto portion = scan->next();
            took += steady_clock::now() - began;
            return portion;
        };
        const auto portion = co_await on_disk(context_, read);
        if (!portion) scan = tl::unexpected(portion.error());
        if (portion) take_in(*portion);
        last = portion && portion->last;
    }
    if (scan) {
        complaints_.forget("Queue");
    } else {
        complaints_.warn("Queue", scan.error());
    }
    if (next_look_ == SteadyPoint{}) co_return;  // wanted again meanwhile
    next_look_ = steady_clock::now() +
                 until_next_look(rescan, std::chrono::ceil<milliseconds>(took), events_.told());
}

void QueueRunner::take_in(const folders::Queue::Portion& portion) {
    const auto now = context_.clock.now();
    for (const auto& entry : portion.entries) {
        if (active_.contains(entry.id)) {
            changed_meanwhile_.insert(entry.id);
        } else if (entry.pickup) {
            to_resume_.insert(entry.id);
        } else if (entry.next_attempt < folders::held_from()) {
            dispatcher_.found(entry.id, entry.next_attempt, now);
        } else {
            dispatcher_.forget(entry.id);
        }
    }
    for (const auto& name : portion.foreign) by_hand_.found(name);
    changed_.notify();
}

}  // namespace mailroot::delivery
