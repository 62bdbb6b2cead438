#include "smtp/dialogue.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

namespace {

/// `{600 x}` at `at`: appends the octet that often and gives the place of the brace that closes it.
std::size_t repeat(const std::string& text, std::size_t at, std::string& octets) {
    const std::size_t space = text.find(' ', at);
    const std::size_t end = text.find('}', space + 2);
    REQUIRE_MESSAGE(end == space + 2, text << ": a repetition is \\{600 x}");
    octets.append(std::stoul(text.substr(at + 1)), text[space + 1]);
    return end;
}

}  // namespace

std::string unescaped(const std::string& text) {
    std::string octets;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            octets += text[i];
            continue;
        }
        switch (text[++i]) {
            case 'r':
                octets += '\r';
                break;
            case 'n':
                octets += '\n';
                break;
            case 't':
                octets += '\t';
                break;
            case 'x':
                octets += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
                i += 2;
                break;
            case '{':
                i = repeat(text, i, octets);
                break;
            default:
                octets += text[i];
        }
    }
    return octets;
}

Dialogue read_dialogue(const std::filesystem::path& file) {
    Dialogue dialogue{file, {}, {}, {}};
    std::ifstream in(file);
    REQUIRE_MESSAGE(in, file.string() << ": cannot be read");
    std::string text;
    for (int number = 1; std::getline(in, text); ++number) {
        if (text.empty() || text.starts_with('#')) continue;
        if (text.starts_with("option ")) {
            dialogue.options.push_back(text.substr(7));
            continue;
        }
        if (text.starts_with("stored ")) {
            dialogue.stored.push_back(text.substr(7));
            continue;
        }
        if (text.starts_with("! ")) {
            dialogue.lines.push_back(
                {Dialogue::Side::event, text.substr(2), false, false, false, number});
            continue;
        }
        const bool legal = text.size() >= 2 && (text[0] == 'C' || text[0] == 'S') &&
                           (text[1] == ':' || text[1] == '~');
        REQUIRE_MESSAGE(legal, file.string() << ":" << number << ": not a line of a dialogue");
        Dialogue::Line line;
        line.side = text[0] == 'C' ? Dialogue::Side::client : Dialogue::Side::server;
        line.number = number;
        std::string said = text.substr(std::min<std::size_t>(3, text.size()));
        if (said == "<end>") {
            line.end = true;
        } else if (said == "...") {
            line.any_lines = true;
        } else if (text[1] == '~') {
            REQUIRE_MESSAGE((said.size() >= 2 && said.front() == '"' && said.back() == '"'),
                            file.string() << ":" << number << ": octets stand in quotes");
            line.octets = unescaped(said.substr(1, said.size() - 2));
        } else if (said.ends_with('*')) {
            line.any_rest = true;
            line.octets = said.substr(0, said.size() - 1);
        } else {
            line.octets = said + "\r\n";
        }
        dialogue.lines.push_back(line);
    }
    return dialogue;
}

std::vector<std::filesystem::path> dialogues(const std::string& folder) {
    std::vector<std::filesystem::path> files;
    const auto where = std::filesystem::path(MAILROOT_TESTS) / "dialogues" / folder;
    for (const auto& entry : std::filesystem::directory_iterator(where)) {
        if (entry.path().extension() == ".smtp") files.push_back(entry.path());
    }
    std::ranges::sort(files);
    REQUIRE_FALSE(files.empty());
    return files;
}
