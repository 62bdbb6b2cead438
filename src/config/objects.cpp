#include "config/objects.hpp"

#include "config/forms.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace mailroot::config {

namespace {

/// One key of an object.
template <class T>
struct Part {
    std::string_view key;
    std::optional<Fault> (*read)(T& into, const Json& value);
    Json (*write)(const T& from);  ///< null: it has its default
};

/// What a value must be, for programs and for people.
struct Form {
    bool (*fits)(std::string_view);  ///< of each text in it
    std::string_view expected;
};

bool is_any(std::string_view) {
    return true;
}

bool is_said(std::string_view text) {
    return !text.empty() && text.find_first_of("\r\n") == std::string_view::npos;
}

bool is_client_authentication(std::string_view text) {
    return text == "body" || text == "basic";
}

constexpr Form k_object{is_any, "an object"};
constexpr Form k_boolean{is_any, "true or false"};
constexpr Form k_users{is_any, "a list of users such as [\"branch\"]"};
constexpr Form k_tls_policy{is_tls_policy, k_tls_policy_form};
constexpr Form k_smart_host{is_smart_host_or_empty, k_smart_host_form};
constexpr Form k_rate{is_any, "a rate such as \"100/min\": a number in one s, min, h or d"};
constexpr Form k_user{is_said, "the name of a user"};
constexpr Form k_file{is_said, "the path of a file"};
constexpr Form k_command{is_any, "a list of a program and its arguments"};
constexpr Form k_endpoint{is_https_url, "a URL such as \"https://login.example.com/token\""};
constexpr Form k_client_id{is_said, "the id of a client"};
constexpr Form k_client_authentication{is_client_authentication, "\"body\" or \"basic\""};
constexpr Form k_scope{is_said, "a scope such as \"https://outlook.office.com/SMTP.Send\""};

std::optional<Fault> fault(const Form& form, const Json& value) {
    return Fault{"", std::string(form.expected), value};
}

bool is_text(const Form& form, const Json& value) {
    return value.is_string() && form.fits(value.get_ref<const std::string&>());
}

std::optional<Fault> read(bool& into, const Form& form, const Json& value) {
    if (!value.is_boolean()) return fault(form, value);
    into = value;
    return std::nullopt;
}

std::optional<Fault> read(std::string& into, const Form& form, const Json& value) {
    if (!is_text(form, value)) return fault(form, value);
    into = value;
    return std::nullopt;
}

std::optional<Fault> read(std::optional<std::string>& into, const Form& form, const Json& value) {
    return read(into.emplace(), form, value);
}

std::optional<Fault> read(std::optional<Rate>& into, const Form& form, const Json& value) {
    const auto rate = parse_rate(value.is_string() ? value.get<std::string>() : "");
    if (!rate) return fault(form, value);
    into = *rate;
    return std::nullopt;
}

std::optional<Fault> read(std::vector<std::string>& into, const Form& form, const Json& value) {
    const auto fits = [&form](const Json& item) { return is_text(form, item); };
    if (!value.is_array() || !std::ranges::all_of(value, fits)) return fault(form, value);
    into = value.get<std::vector<std::string>>();
    return std::nullopt;
}

std::optional<Fault> read(SmartHostLogin& into, const Form&, const Json& value) {
    return read_object(into, value);
}

std::optional<Fault> read(std::optional<OauthClient>& into, const Form&, const Json& value);

Json json_of(const SmartHostLogin& value) {
    return write_object(value);
}

Json json_of(const std::optional<OauthClient>& value);

Json json_of(const auto& value) {
    return value;
}

Json json_of(const std::optional<std::string>& value) {
    return *value;
}

Json json_of(const std::optional<Rate>& value) {
    return rate_text(*value);
}

template <class T, class Value>
T owner_of(Value T::*);

template <auto member, const Form& form>
constexpr auto part(std::string_view key) {
    using T = decltype(owner_of(member));
    return Part<T>{
        key, [](T& into, const Json& value) { return read(into.*member, form, value); },
        [](const T& from) { return from.*member == T{}.*member ? Json() : json_of(from.*member); }};
}

/// `relay, tls or turn`
template <class T>
std::string keys_of(std::span<const Part<T>> parts) {
    std::string text(parts.front().key);
    for (const auto& part : parts.subspan(1)) {
        text += &part == &parts.back() ? " or " : ", ";
        text += part.key;
    }
    return text;
}

template <class T>
std::optional<Fault> read_parts(T& into, std::span<const Part<T>> parts, const Json& value) {
    if (!value.is_object()) return Fault{"", "an object with " + keys_of(parts), value};
    for (const auto& [key, item] : value.items()) {
        const auto part = std::ranges::find(parts, key, &Part<T>::key);
        if (part == parts.end()) return Fault{"", keys_of(parts), key};
        if (auto wrong = part->read(into, item)) return std::move(*wrong).in(key);
    }
    return std::nullopt;
}

template <class T>
Json write_parts(const T& from, std::span<const Part<T>> parts) {
    auto json = Json::object();
    for (const auto& part : parts) {
        if (auto value = part.write(from); !value.is_null())
            json[std::string(part.key)] = std::move(value);
    }
    return json;
}

constexpr std::array k_remote_domain{
    part<&RemoteDomain::relay, k_boolean>("relay"),
    part<&RemoteDomain::triggered, k_boolean>("triggered"),
    part<&RemoteDomain::turn, k_users>("turn"),
    part<&RemoteDomain::tls, k_tls_policy>("tls"),
    part<&RemoteDomain::smart_host, k_smart_host>("smartHost"),
    part<&RemoteDomain::smart_host_login, k_object>("smartHostLogin"),
    part<&RemoteDomain::rate, k_rate>("rate"),
};

constexpr std::array k_smart_host_login{
    part<&SmartHostLogin::user, k_user>("user"),
    part<&SmartHostLogin::password_file, k_file>("passwordFile"),
    part<&SmartHostLogin::password_command, k_command>("passwordCommand"),
    part<&SmartHostLogin::token_command, k_command>("tokenCommand"),
    part<&SmartHostLogin::oauth, k_object>("oauth"),
};

constexpr std::array k_oauth_client{
    part<&OauthClient::endpoint, k_endpoint>("endpoint"),
    part<&OauthClient::client_id, k_client_id>("clientId"),
    part<&OauthClient::client_secret_file, k_file>("clientSecretFile"),
    part<&OauthClient::client_authentication, k_client_authentication>("clientAuthentication"),
    part<&OauthClient::refresh_token_file, k_file>("refreshTokenFile"),
    part<&OauthClient::scope, k_scope>("scope"),
};

std::optional<Fault> read(std::optional<OauthClient>& into, const Form&, const Json& value) {
    return read_parts<OauthClient>(into.emplace(), k_oauth_client, value);
}

Json json_of(const std::optional<OauthClient>& value) {
    return write_parts<OauthClient>(*value, k_oauth_client);
}

}  // namespace

std::optional<Fault> read_object(RemoteDomain& into, const Json& value) {
    return read_parts<RemoteDomain>(into, k_remote_domain, value);
}

Json write_object(const RemoteDomain& from) {
    return write_parts<RemoteDomain>(from, k_remote_domain);
}

std::optional<Fault> read_object(SmartHostLogin& into, const Json& value) {
    return read_parts<SmartHostLogin>(into, k_smart_host_login, value);
}

Json write_object(const SmartHostLogin& from) {
    return write_parts<SmartHostLogin>(from, k_smart_host_login);
}

}  // namespace mailroot::config
