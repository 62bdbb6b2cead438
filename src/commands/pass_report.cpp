#include "commands/pass_report.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <ostream>

namespace mailroot::commands {

namespace {

using Json = nlohmann::ordered_json;

void print_json(const Json& json, std::ostream& out) {
    out << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

}  // namespace

int report_pass(const delivery::PassResult& result, const std::vector<std::string>& left, bool json,
                Environment& environment) {
    if (json) {
        print_json({{"messages", result.messages},
                    {"delivered", result.delivered},
                    {"deferred", result.deferred},
                    {"failed", result.failed},
                    {"badmail", result.badmail},
                    {"left", left}},
                   environment.out);
    } else {
        environment.out << result.messages << " messages: " << result.delivered << " delivered, "
                        << result.deferred << " deferred, " << result.failed << " failed, "
                        << result.badmail << " to Badmail\n";
    }
    for (const auto& error : result.errors) environment.error << "mailroot: " << error.what << '\n';
    for (const auto& name : left) environment.error << "mailroot: " << name << ": left in Pickup\n";

    const auto any = [&](auto test) { return std::ranges::any_of(result.errors, test); };
    const auto is_refused = [](const Error& error) {
        return error.kind == Error::Kind::permission;
    };
    const auto is_damaged = [](const Error& error) { return error.kind == Error::Kind::parse; };
    if (any(is_refused)) return k_no_permission;
    if (!std::ranges::all_of(result.errors, is_damaged)) return k_io_error;
    if (result.badmail > 0 || !result.errors.empty()) return k_bad_input;
    return result.deferred > 0 || !left.empty() ? k_try_later : k_done;
}

void report_plan(const std::vector<std::string>& names, bool json, Environment& environment) {
    if (json) {
        print_json({{"wouldAttempt", names}}, environment.out);
        return;
    }
    for (const auto& name : names) environment.out << name << '\n';
}

}  // namespace mailroot::commands
