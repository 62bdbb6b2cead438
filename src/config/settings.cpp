#include "config/settings.hpp"

#include "config/bindings.hpp"
#include "config/forms.hpp"
#include "config/json_text.hpp"
#include "config/text_file.hpp"
#include "core/address.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace mailroot::config {

namespace {

tl::unexpected<Error> refused(std::string what) {
    return fail(Error::Kind::config, std::move(what));
}

/// How many letters must be put in, taken out or changed to make `b` of `a` (Levenshtein).
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = row[0]++;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
        }
    }
    return row.back();
}

std::string_view last_part(std::string_view path) {
    return path.substr(path.rfind('.') + 1);  // npos + 1 is 0
}

/// How far a mistyped path is from a known one. A right name in the wrong group is one step away.
std::size_t strangeness(std::string_view typed, std::string_view known) {
    const auto a = lower_case(typed), b = lower_case(known);
    return std::min(distance(a, b), distance(last_part(a), last_part(b)) + 1);
}

std::string nearest_key(std::string_view typed) {
    std::string_view nearest;
    std::size_t least = std::numeric_limits<std::size_t>::max();
    const auto consider = [&](std::string_view known) {
        const std::size_t strange = strangeness(typed, known);
        if (strange >= least) return;
        least = strange;
        nearest = known;
    };
    for (const auto& binding : bindings()) {
        consider(binding.path);
        if (const auto dot = binding.path.find('.'); dot != std::string_view::npos)
            consider(binding.path.substr(0, dot));
    }
    return std::string(nearest);
}

const Binding* find(std::string_view path) {
    const auto all = bindings();
    const auto found = std::ranges::find(all, path, &Binding::path);
    return found == all.end() ? nullptr : &*found;
}

bool is_group(std::string_view path) {
    return path.empty() || std::ranges::any_of(bindings(), [path](const Binding& binding) {
               return binding.path.starts_with(path) && binding.path.substr(path.size(), 1) == ".";
           });
}

/// Without what may be a password: `socks5://...@host`.
std::string without_login(std::string text) {
    const auto scheme = text.find("://");
    const auto at = text.rfind('@');
    if (scheme == std::string::npos || at == std::string::npos || at < scheme) return text;
    constexpr std::size_t k_behind_scheme = 3;
    return text.replace(scheme + k_behind_scheme, at - scheme - k_behind_scheme, "...");
}

/// A value as it was given, for messages.
std::string shown(const Json& value) {
    constexpr std::size_t k_longest = 60;
    // ASCII, so cut freely.
    auto text = without_login(value.dump(-1, ' ', true, Json::error_handler_t::replace));
    if (text.size() > k_longest) text = text.substr(0, k_longest) + "...";
    return text;
}

/// What is wrong with a value, and with which part of it where its kind can tell.
template <class Kind>
Fault fault_of(const Kind& kind, const Json& value) {
    if constexpr (requires { kind.fault(value); }) {
        return kind.fault(value);
    } else {
        return {"", kind.expected(), value};
    }
}

Result<void> apply_value(Settings& settings, const Binding& binding, const Json& value) {
    return std::visit(
        [&](const auto& kind) -> Result<void> {
            if (kind.read(settings, value)) return {};
            const auto fault = fault_of(kind, value);
            return refused(std::string(binding.path) + ": " + fault.place + "expected " +
                           fault.expected + ", not " + shown(fault.value));
        },
        binding.value);
}

/// Sets what stands at `path`, a key or a whole group; the empty path is everything.
Result<void> apply(Settings& settings, const std::string& path, const Json& value) {
    if (const auto* binding = find(path)) return apply_value(settings, *binding, value);
    if (!is_group(path)) {
        return refused("unknown key '" + path + "', did you mean '" + nearest_key(path) + "'?");
    }
    if (!value.is_object()) {
        return refused((path.empty() ? "" : path + ": ") + "expected an object {...}, not " +
                       shown(value));
    }
    const std::string prefix = path.empty() ? "" : path + '.';
    for (const auto& [name, inner] : value.items())
        MAILROOT_TRY(apply(settings, prefix + name, inner));
    return {};
}

/// `key.path=VALUE`. VALUE is JSON where that fits the key, else plain text: a hostname may be `7`.
Result<void> apply_override(Settings& settings, const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) return refused("expected key.path=VALUE");
    const auto path = text.substr(0, equals);
    if (path.empty()) return refused("no key before the '='");
    const auto plain = text.substr(equals + 1);
    const auto json = parse_json(plain);
    if (!json) return apply(settings, path, plain);
    auto applied = apply(settings, path, *json);
    if (!applied && apply(settings, path, plain)) return {};
    return applied;
}

Result<void> apply_file(Settings& settings, const std::filesystem::path& file, bool optional) {
    auto text = read_text_file(file);
    if (!text && optional && text.error().kind == Error::Kind::not_found) return {};
    if (!text) return refused(text.error().what);
    auto json = parse_json(*text);
    if (!json) return fail(std::move(json));
    return apply(settings, "", *json);
}

Result<void> complete(Settings& settings, const std::function<std::string()>& machine_name) {
    if (settings.hostname.empty()) {
        auto name = machine_name();
        if (!is_domain(name)) {
            return refused("hostname: must be set, as the machine's name '" + name +
                           "' is no domain");
        }
        settings.hostname = std::move(name);
    }
    if (settings.domains.default_domain.empty())
        settings.domains.default_domain = settings.hostname;
    return {};
}

Result<void> check_oauth(const OauthClient& oauth, const std::string& place) {
    if (oauth.endpoint.empty()) return refused(place + "endpoint must be set");
    if (oauth.client_id.empty()) return refused(place + "clientId must be set");
    const bool has_secret = !oauth.client_secret_file.empty();
    if (!has_secret && oauth.refresh_token_file.empty())
        return refused(place + "clientSecretFile or refreshTokenFile must be set");
    if (!has_secret && oauth.client_authentication == "basic")
        return refused(place + "there is no clientSecretFile for clientAuthentication basic");
    return {};
}

Result<void> check_login(const SmartHostLogin& login, const std::string& smart_host,
                         const std::string& place) {
    if (login == SmartHostLogin{}) return {};
    if (smart_host.empty()) return refused(place + "there is no smartHost to log in at");
    if (login.user.empty()) return refused(place + "user must be set");
    const int ways = !login.password_file.empty() + !login.password_command.empty() +
                     !login.token_command.empty() + login.oauth.has_value();
    if (ways != 1) {
        return refused(place +
                       "one of passwordFile, passwordCommand, tokenCommand and oauth must be set, "
                       "and not two");
    }
    return login.oauth ? check_oauth(*login.oauth, place + "oauth: ") : Result<void>{};
}

Result<void> check_way_out(const Settings::Delivery& delivery) {
    const auto& bound = delivery.bind_address;
    const auto of_ipv6 = std::ranges::count_if(
        bound, [](const std::string& address) { return address.find(':') != std::string::npos; });
    if (of_ipv6 > 1 || std::ssize(bound) - of_ipv6 > 1) {
        return refused("delivery.bindAddress: at most one IPv4 and one IPv6 address");
    }
    if (!delivery.proxy.empty() && !bound.empty()) {
        return refused("delivery.bindAddress: it is delivery.proxy that connects to other hosts");
    }
    if (delivery.proxy_user.empty() != delivery.proxy_password_file.empty()) {
        return refused("delivery.proxyUser and delivery.proxyPasswordFile go together");
    }
    if (!delivery.proxy_user.empty() && delivery.proxy.empty()) {
        return refused("delivery.proxyUser: there is no delivery.proxy to log in at");
    }
    return {};
}

}  // namespace

Result<void> check_together(const Settings& settings) {
    const auto& domains = settings.domains;
    for (const auto& [domain, file] : domains.recipients) {
        const auto matches = [&domain = domain](const std::string& pattern) {
            return matches_domain(pattern, domain);
        };
        if (!matches(domains.default_domain) && std::ranges::none_of(domains.aliases, matches)) {
            return refused("domains.recipients: " + domain +
                           " is neither domains.default nor one of domains.aliases");
        }
    }
    for (const auto& [pattern, remote] : domains.remote) {
        const auto is_local = [&pattern = pattern](const std::string& local) {
            return matches_domain(local, pattern) || equal_ignoring_case(local, pattern);
        };
        if (is_local(domains.default_domain) || std::ranges::any_of(domains.aliases, is_local)) {
            return refused("domains.remote: " + pattern +
                           " is a local domain: domains.default or one of domains.aliases");
        }
        if (!remote.turn.empty() && settings.auth.users.empty()) {
            return refused("domains.remote: who fetches the mail of " + pattern +
                           " by ATRN must authenticate, and there are no auth.users");
        }
        MAILROOT_TRY(check_login(remote.smart_host_login, remote.smart_host.value_or(""),
                                 "domains.remote: " + pattern + ": smartHostLogin: "));
    }
    MAILROOT_TRY(check_login(settings.delivery.smart_host_login, settings.delivery.smart_host,
                             "delivery.smartHostLogin: "));
    if (settings.delivery.direct_first && settings.delivery.smart_host.empty()) {
        return refused("delivery.directFirst: there is no delivery.smartHost to try after that");
    }
    MAILROOT_TRY(check_way_out(settings.delivery));
    if (!settings.tls.key.empty() && settings.tls.certificate.empty()) {
        return refused("tls.key: there is no tls.certificate that it could be the key of");
    }
    for (const auto& text : settings.listen) {
        const auto [address, tls] = listen_entry(text);
        if (tls != "starttls" && tls != "required" && tls != "implicit" && tls != "none") {
            return refused("listen: '" + std::string(tls) + "' behind " + std::string(address) +
                           " is not starttls, required, implicit or none");
        }
        if (settings.tls.certificate.empty() && (tls == "required" || tls == "implicit")) {
            return refused("listen: '" + text + "' needs tls.certificate");
        }
    }
    return {};
}

Result<Settings> load(const std::filesystem::path& file, bool optional,
                      const std::vector<std::string>& overrides,
                      const std::function<std::string()>& machine_name) {
    Settings settings;
    if (auto applied = apply_file(settings, file, optional); !applied)
        return fail(std::move(applied), file.string());
    for (const auto& text : overrides) {
        if (auto applied = apply_override(settings, text); !applied)
            return fail(std::move(applied), "--set " + without_login(text));
    }
    MAILROOT_TRY(complete(settings, machine_name));
    MAILROOT_TRY(check_together(settings));
    return settings;
}

std::string to_json(const Settings& settings) {
    Settings copy = settings;  // the table's members are references to what may be changed
    Json json = Json::object();
    for (const auto& binding : bindings()) {
        const auto dot = binding.path.find('.');
        Json& group =
            dot == std::string_view::npos ? json : json[std::string(binding.path.substr(0, dot))];
        group[std::string(last_part(binding.path))] =
            std::visit([&](const auto& kind) { return kind.write(copy); }, binding.value);
    }
    constexpr int k_indent = 4;
    return json.dump(k_indent, ' ', false, Json::error_handler_t::replace);
}

std::vector<Key> keys() {
    std::vector<Key> keys;
    for (const auto& binding : bindings()) keys.push_back({binding.path, binding.meaning});
    return keys;
}

}  // namespace mailroot::config
