#include "dns/ares_resolver.hpp"

#include "dns/answer.hpp"

#include <ares.h>

#include <algorithm>
#include <arpa/nameser.h>
#include <deque>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace mailroot::dns {

namespace {

using namespace std::chrono_literals;

using Octets = std::span<const unsigned char>;

// More answers at once than the socket holds would be lost, and asked for again only after the
// timeout; a name server loses questions in the same way.
constexpr int k_most_at_once = 100;

// So that names whose servers are silent keep the others waiting no longer.
constexpr auto k_longest_turn = 1s;

Status status_of(int ares_status) {
    switch (ares_status) {
        case ARES_SUCCESS:
        case ARES_ENODATA:
            return Status::no_data;  // what the message holds decides
        case ARES_ENOTFOUND:
        case ARES_EBADNAME:  // a label beyond 63 octets: no server could know it
            return Status::no_such_domain;
        default:
            return Status::temporary;
    }
}

std::string lower_words(int ares_status) {
    // "Could not contact DNS servers", says c-ares, of SERVFAIL and REFUSED too.
    if (ares_status == ARES_ECONNREFUSED)
        return "every name server failed, refused or is not there";
    std::string words = ares_strerror(ares_status);
    // "DNS server returned …", "Timeout while …": one line of ours begins small, but for DNS.
    if (!words.starts_with("DNS") && !words.empty() && words[0] >= 'A' && words[0] <= 'Z')
        words[0] = static_cast<char>(words[0] - 'A' + 'a');
    return words;
}

/// The answer to a question that ended with `ares_status`; `parse` reads the message.
template <class Answer, class Parse>
Answer make_answer(int ares_status, Octets message, const std::string& name, const Parse& parse) {
    const Status status = status_of(ares_status);
    if (status == Status::no_data) return parse(message, name);
    Answer answer;
    // RFC 2308 5: the SOA in it says for how long there is no such name.
    if (status == Status::no_such_domain) answer.ttl = parse(message, name).ttl;
    answer.status = status;
    answer.error = status == Status::no_such_domain ? "no such domain: " + name
                                                    : name + ": " + lower_words(ares_status);
    return answer;
}

class AresResolver;

/// Once it is asked c-ares holds it as a plain pointer until it calls back.
struct Question {
    AresResolver& resolver;
    std::string name;
    int type;
    std::function<void(int ares_status, Octets message)> then;
    std::unique_ptr<Reactor::Timer> turn{};  ///< runs while it is one of those asked at once
};

class AresResolver final : public Resolver {
 public:
    explicit AresResolver(Reactor& reactor) : reactor_(reactor) {}

    ~AresResolver() override {
        timer_.reset();
        if (channel_ != nullptr) ares_destroy(channel_);  // answers what is under way
        for (const auto& question : waiting_) question->then(ARES_EDESTRUCTION, {});
    }

    AresResolver(const AresResolver&) = delete;
    AresResolver& operator=(const AresResolver&) = delete;

    Result<void> open(const ResolverOptions& options);

    void mx(std::string_view name, std::function<void(MxAnswer)> then) override {
        ask<MxAnswer>(name, ns_t_mx, parse_mx, std::move(then));
    }

    void addresses(std::string_view name, Family family,
                   std::function<void(AddressAnswer)> then) override {
        ask<AddressAnswer>(
            name, family == Family::ipv4 ? ns_t_a : ns_t_aaaa,
            [family](Octets message, std::string_view asked) {
                return parse_addresses(message, asked, family);
            },
            std::move(then));
    }

    void names(std::string_view name, std::function<void(NameAnswer)> then) override {
        ask<NameAnswer>(name, ns_t_ptr, parse_names, std::move(then));
    }

 private:
    template <class Answer, class Parse>
    void ask(std::string_view name, int type, Parse parse, std::function<void(Answer)> then);

    static void socket_changed(void* self, ares_socket_t fd, int readable, int writable);
    static void answered(void* question, int status, int timeouts, unsigned char* message,
                         int length);
    void process(ares_socket_t readable, ares_socket_t writable);
    void ask_waiting();
    void end_turn(Question& question);
    void set_timer();

    Reactor& reactor_;
    std::deque<std::unique_ptr<Question>> waiting_;
    int at_once_ = 0;
    ares_channel channel_ = nullptr;
    std::unique_ptr<Reactor::Timer> timer_;
};

Result<void> AresResolver::open(const ResolverOptions& options) {
    // At most three rounds through the servers: 5 + 10 + 20 seconds, then the mail waits anyway.
    constexpr int k_rounds = 3;
    // Larger answers over UDP are cut into fragments, which get lost (DNS flag day 2020).
    constexpr int k_udp_octets = 1232;
    ares_options settings{};
    settings.flags = ARES_FLAG_EDNS;  // and never ARES_FLAG_IGNTC: what is truncated goes to TCP
    settings.ednspsz = k_udp_octets;
    settings.timeout = static_cast<int>(
        std::clamp<std::int64_t>(options.timeout.count(), 1, std::numeric_limits<int>::max()));
    settings.tries = k_rounds;
    settings.socket_receive_buffer_size = k_most_at_once * 2 * k_udp_octets;  // half is overhead
    settings.sock_state_cb = &AresResolver::socket_changed;
    settings.sock_state_cb_data = this;
    const int mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                     ARES_OPT_SOCK_RCVBUF | ARES_OPT_SOCK_STATE_CB;
    if (const int status = ares_init_options(&channel_, &settings, mask); status != ARES_SUCCESS)
        return fail(Error::Kind::config, "name resolution: " + lower_words(status));

    std::string list;
    for (const auto& server : options.servers) list += (list.empty() ? "" : ",") + server;
    if (list.empty()) return {};
    if (const int status = ares_set_servers_ports_csv(channel_, list.c_str());
        status != ARES_SUCCESS)
        return fail(Error::Kind::config, "name servers '" + list + "': " + lower_words(status));
    return {};
}

template <class Answer, class Parse>
void AresResolver::ask(std::string_view name, int type, Parse parse,
                       std::function<void(Answer)> then) {
    // c-ares may call back from within the question, and must not be destroyed from a callback.
    auto answer = [&reactor = reactor_, asked = std::string(name), parse, then = std::move(then)](
                      int status, Octets message) {
        reactor.post(
            [then, answer = make_answer<Answer>(status, message, asked, parse)] { then(answer); });
    };
    waiting_.push_back(
        std::unique_ptr<Question>(new Question{*this, std::string(name), type, std::move(answer)}));
    ask_waiting();
}

void AresResolver::ask_waiting() {
    while (at_once_ < k_most_at_once && !waiting_.empty()) {
        auto* const question = waiting_.front().release();
        waiting_.pop_front();
        ++at_once_;
        question->turn = reactor_.after(k_longest_turn, [this, question] {
            end_turn(*question);
            ask_waiting();
        });
        ares_query(channel_, question->name.c_str(), ns_c_in, question->type,
                   &AresResolver::answered, question);
    }
    set_timer();
}

void AresResolver::end_turn(Question& question) {
    if (std::exchange(question.turn, nullptr)) --at_once_;
}

void AresResolver::answered(void* question, int status, int, unsigned char* message, int length) {
    const std::unique_ptr<Question> done(static_cast<Question*>(question));
    done->resolver.end_turn(*done);
    done->then(status,
               message == nullptr ? Octets{} : Octets{message, static_cast<std::size_t>(length)});
}

void AresResolver::socket_changed(void* self, ares_socket_t fd, int readable, int writable) {
    auto& resolver = *static_cast<AresResolver*>(self);
    if (readable == 0 && writable == 0) return resolver.reactor_.unwatch(fd);
    resolver.reactor_.watch(fd, {.readable = readable != 0, .writable = writable != 0},
                            [&resolver, fd](Reactor::Readiness ready) {
                                resolver.process(ready.readable ? fd : ARES_SOCKET_BAD,
                                                 ready.writable ? fd : ARES_SOCKET_BAD);
                            });
}

void AresResolver::process(ares_socket_t readable, ares_socket_t writable) {
    ares_process_fd(channel_, readable, writable);
    ask_waiting();
}

void AresResolver::set_timer() {
    timeval left{};
    if (ares_timeout(channel_, nullptr, &left) == nullptr) return timer_.reset();
    const auto delay = std::chrono::ceil<std::chrono::milliseconds>(
        std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec));
    timer_ = reactor_.after(delay, [this] { process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); });
}

}  // namespace

Result<std::unique_ptr<Resolver>> make_ares_resolver(Reactor& reactor,
                                                     const ResolverOptions& options) {
    static const int initialised = ares_library_init(ARES_LIB_INIT_ALL);
    if (initialised != ARES_SUCCESS)
        return fail(Error::Kind::config, "name resolution: " + lower_words(initialised));
    auto resolver = std::make_unique<AresResolver>(reactor);
    MAILROOT_TRY(resolver->open(options));
    return resolver;
}

}  // namespace mailroot::dns
