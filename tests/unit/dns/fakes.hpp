#pragma once

#include "core/address.hpp"
#include "core/clock.hpp"
#include "core/reactor.hpp"
#include "dns/resolver.hpp"

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

/// A loop whose posted work is run by hand.
class ManualReactor final : public mailroot::Reactor {
 public:
    void watch(int, Readiness, std::function<void(Readiness)>) override {}
    void unwatch(int) override {}
    std::unique_ptr<Timer> after(std::chrono::milliseconds, std::function<void()>) override {
        return nullptr;
    }
    void post(std::function<void()> work) override { posted_.push_back(std::move(work)); }

    void run() {
        while (!posted_.empty()) {
            const auto work = std::move(posted_.front());
            posted_.pop_front();
            work();
        }
    }

 private:
    std::deque<std::function<void()>> posted_;
};

/// A clock that is set by hand.
class ManualClock final : public mailroot::Clock {
 public:
    [[nodiscard]] mailroot::TimePoint now() const override { return now_; }
    void advance(std::chrono::seconds by) { now_ += by; }

 private:
    mailroot::TimePoint now_{std::chrono::hours(24 * 365 * 50)};
};

/// Answers from a zone in memory, through the reactor. What it does not know does not exist.
class ZoneResolver final : public mailroot::dns::Resolver {
 public:
    explicit ZoneResolver(mailroot::Reactor& reactor) : reactor_(reactor) {}

    std::map<std::string, mailroot::dns::MxAnswer> mail_exchanges;
    std::map<std::pair<std::string, mailroot::dns::Family>, mailroot::dns::AddressAnswer> hosts;
    std::map<std::string, mailroot::dns::NameAnswer> pointers;
    std::vector<std::string> asked;  ///< `MX a.example`, in order

    void mx(std::string_view name, std::function<void(mailroot::dns::MxAnswer)> then) override {
        asked.push_back("MX " + std::string(name));
        answer(mail_exchanges, mailroot::lower_case(name), then);
    }

    void addresses(std::string_view name, mailroot::dns::Family family,
                   std::function<void(mailroot::dns::AddressAnswer)> then) override {
        const bool ipv4 = family == mailroot::dns::Family::ipv4;
        asked.push_back((ipv4 ? "A " : "AAAA ") + std::string(name));
        answer(hosts, std::pair(mailroot::lower_case(name), family), then);
    }

    void names(std::string_view name,
               std::function<void(mailroot::dns::NameAnswer)> then) override {
        asked.push_back("PTR " + std::string(name));
        answer(pointers, mailroot::lower_case(name), then);
    }

    /// A host with addresses of one family.
    void add_host(const std::string& name, mailroot::dns::Family family,
                  std::vector<std::string> addresses, std::chrono::seconds ttl) {
        hosts[{name, family}] = {mailroot::dns::Status::found, std::move(addresses), ttl, {}};
    }

 private:
    template <class Zone, class Key, class Answer>
    void answer(const Zone& zone, const Key& key, std::function<void(Answer)>& then) {
        const auto found = zone.find(key);
        Answer answer;
        if (found == zone.end()) {
            answer.status = mailroot::dns::Status::no_such_domain;
            answer.error = "no such domain";
        } else {
            answer = found->second;
        }
        reactor_.post([then = std::move(then), answer] { then(answer); });
    }

    mailroot::Reactor& reactor_;
};
