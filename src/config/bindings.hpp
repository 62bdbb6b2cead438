#pragma once

#include "config/objects.hpp"
#include "config/settings.hpp"
#include "core/quantity.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mailroot::config {

/// The setting that a key stands for.
template <class T>
using Member = T& (*)(Settings&);

/// The kinds of value. read() leaves the settings alone and gives false where `value` is none of
/// its kind or out of its range; expected() says what would have been one. Of a list or an object
/// fault() tells which part is none.
struct Text {
    Member<std::string> member;
    bool (*fits)(std::string_view);
    std::string_view form;

    bool read(Settings& settings, const Json& value) const;
    [[nodiscard]] Json write(Settings& settings) const { return member(settings); }
    [[nodiscard]] std::string expected() const { return std::string(form); }
};

struct TextList {
    Member<std::vector<std::string>> member;
    bool (*fits)(std::string_view);  ///< each of them
    std::string_view form;

    bool read(Settings& settings, const Json& value) const;
    [[nodiscard]] Fault fault(const Json& value) const;
    [[nodiscard]] Json write(Settings& settings) const { return member(settings); }
    [[nodiscard]] std::string expected() const { return std::string(form); }
};

/// Texts by domain.
struct TextMap {
    Member<std::map<std::string, std::string>> member;
    std::string_view form;

    bool read(Settings& settings, const Json& value) const;
    [[nodiscard]] Json write(Settings& settings) const { return member(settings); }
    [[nodiscard]] std::string expected() const { return std::string(form); }
};

/// `{"example.com": {"relay": true}}`
struct RemoteDomains {
    Member<std::map<std::string, RemoteDomain>> member;

    bool read(Settings& settings, const Json& value) const;
    [[nodiscard]] Fault fault(const Json& value) const;
    [[nodiscard]] Json write(Settings& settings) const;
};

/// `{"user": "joe", "passwordFile": "/etc/mailroot/password"}`
struct LoginObject {
    Member<SmartHostLogin> member;

    bool read(Settings& settings, const Json& value) const;
    [[nodiscard]] Fault fault(const Json& value) const;
    [[nodiscard]] Json write(Settings& settings) const { return write_object(member(settings)); }
};

/// Octets; 0: no limit.
struct Size {
    Member<std::uint64_t> member;

    bool read(Settings& settings, const Json& value) const;
    [[nodiscard]] Json write(Settings& settings) const;
    [[nodiscard]] std::string expected() const;
};

struct Count {
    Member<std::uint64_t> member;
    std::uint64_t least;

    bool read(Settings& settings, const Json& value) const;
    [[nodiscard]] Json write(Settings& settings) const { return member(settings); }
    [[nodiscard]] std::string expected() const;
};

struct Port {
    Member<std::uint16_t> member;

    bool read(Settings& settings, const Json& value) const;
    [[nodiscard]] Json write(Settings& settings) const { return member(settings); }
    [[nodiscard]] std::string expected() const { return "a port from 1 to 65535"; }
};

struct Duration {
    Member<milliseconds> member;
    milliseconds least;

    bool read(Settings& settings, const Json& value) const;
    [[nodiscard]] Json write(Settings& settings) const;
    [[nodiscard]] std::string expected() const;
};

/// At least one, each longer than nothing.
struct DurationList {
    Member<std::vector<milliseconds>> member;

    bool read(Settings& settings, const Json& value) const;
    [[nodiscard]] Json write(Settings& settings) const;
    [[nodiscard]] std::string expected() const;
};

/// So many in a time; 0 of them: no limit.
struct RateLimit {
    Member<Rate> member;

    bool read(Settings& settings, const Json& value) const;
    [[nodiscard]] Json write(Settings& settings) const { return rate_text(member(settings)); }
    [[nodiscard]] std::string expected() const;
};

struct Boolean {
    Member<bool> member;

    bool read(Settings& settings, const Json& value) const;
    [[nodiscard]] Json write(Settings& settings) const { return member(settings); }
    [[nodiscard]] std::string expected() const { return "true or false"; }
};

/// One key: its path, what it means, the setting it stands for.
struct Binding {
    std::string_view path;
    std::string_view meaning;
    std::variant<Text, TextList, TextMap, RemoteDomains, LoginObject, Size, Count, Port, Duration,
                 DurationList, RateLimit, Boolean>
        value;
};

/// Every key there is, in the manual's order. Reading, printing and listing all walk this.
[[nodiscard]] std::span<const Binding> bindings();

}  // namespace mailroot::config
