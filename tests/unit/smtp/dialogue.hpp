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
///     C~ ".\n"                   octets, escaped, and no CRLF added; S~ likewise
///     S: ...                     the lines that are left of that reply, whatever they are
///     S: <end>                   that side closes the connection
///     ! time out                 something else happens now: what it means is the player's
///     stored <a@b> <c@d> "..."   a message that must have come of it, in the order of the file
///
/// Lines of one side in a row are one flight. Escapes: \r \n \t \\ \" \xHH, and \{600 x} for 600
/// times `x`.
struct Dialogue {
    enum class Side { client, server, event };
    struct Line {
        Side side;
        std::string octets;      ///< on the wire, CRLF included; empty where `end`; an event's name
        bool any_rest = false;   ///< `octets` is a beginning, up to the line's end
        bool any_lines = false;  ///< the rest of a reply
        bool end = false;
        int number = 0;  ///< in the file, for messages
    };
    std::filesystem::path file;
    std::vector<std::string> options;
    std::vector<std::string> stored;
    std::vector<Line> lines;
};

/// Reads a dialogue; a line that is none fails the running test and names the file and line.
Dialogue read_dialogue(const std::filesystem::path& file);

/// The octets that the escapes of `text` stand for.
std::string unescaped(const std::string& text);

/// All `*.smtp` files of tests/dialogues/<folder>, by name.
std::vector<std::filesystem::path> dialogues(const std::string& folder);
