#include "commands/config_check.hpp"

#include "commands/engine.hpp"
#include "commands/server_setup.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iomanip>
#include <memory>
#include <ostream>
#include <string>

namespace mailroot::commands {

namespace {

using Json = nlohmann::json;

/// A value as `--set` takes it.
std::string value_text(const Json& value) {
    const bool bare = value.is_string() && !value.get_ref<const std::string&>().empty();
    return bare ? value.get<std::string>() : value.dump();
}

void print_table(const config::Settings& settings, std::ostream& out) {
    const auto json = Json::parse(config::to_json(settings));
    const auto keys = config::keys();
    std::size_t width = 0;
    for (const auto& key : keys) width = std::max(width, key.path.size());
    for (const auto& key : keys) {
        std::string pointer{"/"};
        pointer += key.path;
        std::ranges::replace(pointer, '.', '/');
        out << std::left << std::setw(static_cast<int>(width)) << key.path << " = "
            << value_text(json.at(Json::json_pointer(pointer))) << '\n';
    }
}

}  // namespace

Result<int> run_config_check(const ConfigCheckOptions& options, Environment& environment) {
    const auto settings = settings_of(environment);
    if (!settings) return tl::unexpected(settings.error());
    // What serve would read and refuse.
    auto admission = admission_options(*settings);
    if (!admission) return fail(std::move(admission));
    auto proxies = networks("access.proxies", settings->access.proxies);
    if (!proxies) return fail(std::move(proxies));
    auto files = read_server_files(*settings);
    if (!files) return fail(std::move(files));
    MAILROOT_TRY(delivery::check_secrets(*settings));
    auto way_out = way_out_of(settings->delivery);
    if (!way_out) return fail(std::move(way_out));
    if (options.json) {
        environment.out << config::to_json(*settings) << '\n';
    } else {
        print_table(*settings, environment.out);
    }
    return k_done;
}

void add_config_check(CLI::App& command, Environment& environment) {
    const auto options = std::make_shared<ConfigCheckOptions>();
    command.add_flag("--json", options->json, "print JSON that mailroot.json could hold");
    on_chosen(command, environment, options, run_config_check);
}

}  // namespace mailroot::commands
