#include "dns/caching_resolver.hpp"

#include "core/address.hpp"

#include <algorithm>
#include <iterator>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mailroot::dns {

namespace {

using namespace std::chrono_literals;

template <class Answer>
using Then = std::function<void(Answer)>;

std::chrono::seconds lifetime(Status status, std::chrono::seconds ttl) {
    switch (status) {
        case Status::found:
            return std::min<std::chrono::seconds>(ttl, 24h);
        case Status::no_data:
        case Status::no_such_domain:
            return std::min<std::chrono::seconds>(ttl, 5min);
        case Status::temporary:
            break;
    }
    return 0s;
}

/// Answers by name, the one used last in front.
template <class Answer>
class Shelf {
 public:
    explicit Shelf(std::size_t capacity) : capacity_(capacity) {}

    /// The answer about `name` with what is left of its TTL, if one is held and still good.
    std::optional<Answer> find(const std::string& name, TimePoint now) {
        const auto found = places_.find(name);
        if (found == places_.end()) return std::nullopt;
        entries_.splice(entries_.begin(), entries_, found->second);
        const Entry& entry = entries_.front();
        // Before its arrival is no time to use it either: the clock was set back.
        if (now < entry.arrived || now >= entry.expires) return std::nullopt;
        Answer answer = entry.answer;
        answer.ttl = std::chrono::ceil<std::chrono::seconds>(entry.expires - now);
        return answer;
    }

    void put(const std::string& name, const Answer& answer, TimePoint now) {
        remove(name);
        const auto life = lifetime(answer.status, answer.ttl);
        if (life <= 0s || capacity_ == 0) return;
        if (entries_.size() == capacity_) remove(std::string(entries_.back().name));
        entries_.push_front({name, answer, now, now + life});
        places_[name] = entries_.begin();
    }

 private:
    struct Entry {
        std::string name;
        Answer answer;
        TimePoint arrived;
        TimePoint expires;
    };

    void remove(const std::string& name) {
        const auto found = places_.find(name);
        if (found == places_.end()) return;
        entries_.erase(found->second);
        places_.erase(found);
    }

    const std::size_t capacity_;
    std::list<Entry> entries_;
    std::map<std::string, typename std::list<Entry>::iterator> places_;
};

/// The answers of one type, and who waits for one.
template <class Answer>
struct Answers {
    explicit Answers(std::size_t capacity) : shelf(capacity) {}

    Shelf<Answer> shelf;
    std::map<std::string, std::vector<Then<Answer>>> waiting;
};

class CachingResolver final : public Resolver {
 public:
    CachingResolver(Resolver& upstream, Reactor& reactor, const Clock& clock, std::size_t capacity)
        : upstream_(upstream),
          reactor_(reactor),
          clock_(clock),
          mx_(capacity),
          ipv4_(capacity),
          ipv6_(capacity),
          names_(capacity) {}

    ~CachingResolver() override {
        abandon(mx_);
        abandon(ipv4_);
        abandon(ipv6_);
        abandon(names_);
    }

    CachingResolver(const CachingResolver&) = delete;
    CachingResolver& operator=(const CachingResolver&) = delete;

    void mx(std::string_view name, Then<MxAnswer> then) override {
        ask<MxAnswer>(mx_, name, std::move(then),
                      [this, name](Then<MxAnswer> take) { upstream_.mx(name, std::move(take)); });
    }

    void addresses(std::string_view name, Family family, Then<AddressAnswer> then) override {
        ask<AddressAnswer>(family == Family::ipv4 ? ipv4_ : ipv6_, name, std::move(then),
                           [this, name, family](Then<AddressAnswer> take) {
                               upstream_.addresses(name, family, std::move(take));
                           });
    }

    void names(std::string_view name, Then<NameAnswer> then) override {
        ask<NameAnswer>(names_, name, std::move(then), [this, name](Then<NameAnswer> take) {
            upstream_.names(name, std::move(take));
        });
    }

 private:
    template <class Answer, class Ask>
    void ask(Answers<Answer>& answers, std::string_view name, Then<Answer> then,
             const Ask& ask_upstream) {
        const std::string key = lower_case(name);
        if (auto known = answers.shelf.find(key, clock_.now())) {
            reactor_.post([then = std::move(then), answer = std::move(*known)] { then(answer); });
            return;
        }
        auto& waiting = answers.waiting[key];
        waiting.push_back(std::move(then));
        if (waiting.size() > 1) return;
        ask_upstream([this, &answers, key, alive = std::weak_ptr(alive_)](Answer answer) {
            if (!alive.expired()) take(answers, key, answer);
        });
    }

    template <class Answer>
    void take(Answers<Answer>& answers, const std::string& key, const Answer& answer) {
        answers.shelf.put(key, answer, clock_.now());
        // One of those who waited may ask again, or destroy this resolver: touch nothing of it.
        const auto waiting = answers.waiting.extract(key);
        for (const auto& then : waiting.mapped()) then(answer);
    }

    template <class Answer>
    void abandon(Answers<Answer>& answers) {
        for (auto& [name, waiting] : answers.waiting) {
            Answer answer;
            answer.error = name + ": the resolver is closing";
            for (auto& then : waiting)
                reactor_.post([then = std::move(then), answer] { then(answer); });
        }
    }

    Resolver& upstream_;
    Reactor& reactor_;
    const Clock& clock_;
    Answers<MxAnswer> mx_;
    Answers<AddressAnswer> ipv4_;
    Answers<AddressAnswer> ipv6_;
    Answers<NameAnswer> names_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< what late answers look for
};

}  // namespace

std::unique_ptr<Resolver> make_caching_resolver(Resolver& upstream, Reactor& reactor,
                                                const Clock& clock, std::size_t capacity) {
    return std::make_unique<CachingResolver>(upstream, reactor, clock, capacity);
}

}  // namespace mailroot::dns
