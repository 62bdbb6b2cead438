#include "commands/table.hpp"

#include <algorithm>
#include <ostream>

namespace mailroot::commands {

namespace {

constexpr std::size_t k_gap = 2;

/// Columns on a terminal: UTF-8 continuation octets take none.
std::size_t width_of(const std::string& cell) {
    return static_cast<std::size_t>(std::ranges::count_if(
        cell, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// A cell holds text of peers: a control octet must not reach the terminal.
std::string printable(std::string cell) {
    std::ranges::replace_if(
        cell, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
    return cell;
}

}  // namespace

void Table::print(std::ostream& out) const {
    if (rows_.size() == 1) return;
    std::vector<std::size_t> widths(rows_.front().size());
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], width_of(row[i]));
    }
    for (const auto& row : rows_) {
        std::string line;
        std::size_t pad = 0;
        for (std::size_t i = 0; i < row.size(); ++i) {
            line.append(pad, ' ').append(printable(row[i]));
            pad = widths[i] - width_of(row[i]) + k_gap;
        }
        out << line << '\n';
    }
}

}  // namespace mailroot::commands
