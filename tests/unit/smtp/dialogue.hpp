#pragma once

#include <filesystem>
#include <string>
#include <vector>

/// A protocol test that a mail person can read. One event a line:
///
///     # a comment
///     option pipelining          handed to the test as it stands: what it means is the player's
///     C: EHLO client.example     the client says this line
///     S: 250 2.1.0 *             the server says this line; a final `*` matches any rest
///     C~ ".\n"                   octets with \r \n \t \\ \xHH escapes and no CRLF added (S~
///     likewise) S: <end>                   that side closes the connection
///
/// Lines of one side in a row are one flight.
struct Dialogue {
    enum class Side { client, server };
    struct Line {
        Side side;
        std::string octets;     ///< on the wire, CRLF included; empty where `end`
        bool any_rest = false;  ///< `octets` is a beginning, up to the line's end
        bool end = false;
        int number = 0;  ///< in the file, for messages
    };
    std::filesystem::path file;
    std::vector<std::string> options;
    std::vector<Line> lines;
};

/// Reads a dialogue; a line that is none fails the running test and names the file and line.
Dialogue read_dialogue(const std::filesystem::path& file);

/// All `*.smtp` files of tests/dialogues/<folder>, by name.
std::vector<std::filesystem::path> dialogues(const std::string& folder);
