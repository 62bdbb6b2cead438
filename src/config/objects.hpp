#pragma once

#include "config/settings.hpp"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>

/// Settings that are objects with keys of their own.
namespace mailroot::config {

using Json = nlohmann::ordered_json;

/// What is wrong with a value.
struct Fault {
    std::string place;     ///< where inside it: `a.example: tls: `; empty: the value itself
    std::string expected;  ///< what should stand there
    Json value;            ///< what does

    /// The same fault with the place in front.
    [[nodiscard]] Fault in(std::string_view where) && {
        place.insert(0, std::string(where) + ": ");
        return std::move(*this);
    }
};

/// Reads an entry of `domains.remote`, or a login. Where there is a fault `into` is of no use.
[[nodiscard]] std::optional<Fault> read_object(RemoteDomain& into, const Json& value);
[[nodiscard]] std::optional<Fault> read_object(SmartHostLogin& into, const Json& value);

/// The object that read_object() reads. What has its default is left out.
[[nodiscard]] Json write_object(const RemoteDomain& from);
[[nodiscard]] Json write_object(const SmartHostLogin& from);

}  // namespace mailroot::config
