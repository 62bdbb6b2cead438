#include "config/text_file.hpp"

#include "scratch_folder.hpp"

#include <doctest/doctest.h>

using namespace mailroot;

TEST_CASE("a file is read as it is, or the reason said") {
    const ScratchFolder folder;
    const std::string text("one\r\n\0two", 9);
    CHECK(config::read_text_file(folder.write("file", text)) == text);

    const auto missing = config::read_text_file(folder.path() / "missing");
    REQUIRE_FALSE(missing);
    CHECK(missing.error().kind == Error::Kind::not_found);
    CHECK(missing.error().what == "no such file");

    const auto not_a_file = config::read_text_file(folder.path());
    REQUIRE_FALSE(not_a_file);
    CHECK(not_a_file.error().kind == Error::Kind::config);
    CHECK(not_a_file.error().what == "is a directory, not a file");
}
