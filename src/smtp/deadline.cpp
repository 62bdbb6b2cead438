#include "smtp/deadline.hpp"

namespace mailroot::smtp {

using SteadyTime = std::chrono::steady_clock::time_point;

struct Deadline::State {
    asio::steady_timer timer;
    std::function<void()> missed;
    SteadyTime at = SteadyTime::max();
    bool sleeping = false;
    bool passed = false;
};

Deadline::Deadline(const asio::any_io_executor& executor, std::function<void()> missed)
    : state_(std::make_shared<State>(State{asio::steady_timer(executor), std::move(missed)})) {}

void Deadline::set(std::chrono::milliseconds from_now) {
    state_->passed = false;
    state_->at = std::chrono::steady_clock::now() + from_now;
    // An earlier time than the timer sleeps for cancels it; it then sleeps anew.
    if (!state_->sleeping || state_->at < state_->timer.expiry()) sleep(state_);
}

void Deadline::clear() {
    state_->at = SteadyTime::max();
}

bool Deadline::passed() const {
    return state_->passed;
}

void Deadline::sleep(const std::shared_ptr<State>& state) {
    state->sleeping = true;
    state->timer.expires_at(state->at);
    state->timer.async_wait([weak = std::weak_ptr(state)](asio::error_code e) {
        const auto self = weak.lock();
        if (e || !self) return;
        self->sleeping = false;
        if (self->at == SteadyTime::max()) return;
        if (std::chrono::steady_clock::now() < self->at) return sleep(self);
        self->at = SteadyTime::max();
        self->passed = true;
        self->missed();
    });
}

}  // namespace mailroot::smtp
