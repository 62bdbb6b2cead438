#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mailroot::dns {

/// How a question ended.
enum class Status {
    found,           ///< records are there
    no_data,         ///< the name exists, without records of this type
    no_such_domain,  ///< NXDOMAIN: the name does not exist
    temporary,       ///< SERVFAIL, timeout, refused, a broken answer: ask again later
};

/// One MX record, in the order of the answer.
struct MxRecord {
    std::uint16_t preference = 0;
    std::string exchange;  ///< absolute, without the final dot; empty for the null MX (RFC 7505)
};

struct MxAnswer {
    Status status = Status::temporary;
    std::vector<MxRecord> records;
    std::vector<std::string>
        aliases;  ///< the CNAME chain that was followed, the name asked for left out
    std::chrono::seconds ttl{0};  ///< smallest of the records used
    std::string error;            ///< in words, where nothing was found
};

enum class Family { ipv4, ipv6 };

struct AddressAnswer {
    Status status = Status::temporary;
    std::vector<std::string> addresses;  ///< `192.0.2.1`, `2001:db8::1`
    std::chrono::seconds ttl{0};
    std::string error;
};

/// The names of an address (PTR).
struct NameAnswer {
    Status status = Status::temporary;
    std::vector<std::string> names;  ///< absolute, without the final dot
    std::chrono::seconds ttl{0};
    std::string error;
};

/// Asks the name servers. Names are taken as absolute: no search list (DESIGN section 6). Answers
/// come through the callback, from the event loop, never from within the call. The Resolver must
/// outlive its questions or, when destroyed, answers them all with Status::temporary.
class Resolver {
 public:
    virtual ~Resolver() = default;
    virtual void mx(std::string_view name, std::function<void(MxAnswer)> then) = 0;
    virtual void addresses(std::string_view name, Family family,
                           std::function<void(AddressAnswer)> then) = 0;
    /// `name` is a reverse_name().
    virtual void names(std::string_view name, std::function<void(NameAnswer)> then) = 0;
};

}  // namespace mailroot::dns
