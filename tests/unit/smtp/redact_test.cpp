#include "smtp/redact.hpp"

#include <doctest/doctest.h>

using mailroot::smtp::redacted;

TEST_CASE("a secret is taken out of another machine's words, in whatever form it is repeated") {
    struct Row {
        const char* said;
        const char* kept;
    };
    for (const auto& row : {
             Row{"535 5.7.8 no", "535 5.7.8 no"},
             Row{"bad open sesame, joe", "bad ..., joe"},
             Row{"AUTH PLAIN AGpvZQBvcGVuIHNlc2FtZQ== is bad", "AUTH PLAIN ... is bad"},
             Row{"got <b3BlbiBzZXNhbWU=>", "got ..."},
             Row{"client_secret=open%20sesame&x=1 is bad", "... is bad"},
             Row{"a  b", "a  b"},
         }) {
        CAPTURE(row.said);
        CHECK(redacted(row.said, "open sesame") == row.kept);
    }
    CHECK(redacted("as it is", "") == "as it is");
}
