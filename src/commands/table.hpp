#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace mailroot::commands {

/// Rows of text under a heading, each column as wide as its widest cell.
class Table {
 public:
    explicit Table(std::vector<std::string> heading) : rows_{std::move(heading)} {}

    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

    /// Prints nothing where no row was added.
    void print(std::ostream& out) const;

 private:
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace mailroot::commands
