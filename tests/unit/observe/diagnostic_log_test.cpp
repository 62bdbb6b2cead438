#include "observe/diagnostic_log.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <string>
#include <unistd.h>

using namespace mailroot;

namespace {

/// What is written to the standard error meanwhile.
class CapturedError {
 public:
    CapturedError() {
        std::fflush(stderr);
        saved_ = ::dup(2);
        ::dup2(::fileno(file_), 2);
    }
    ~CapturedError() {
        ::dup2(saved_, 2);
        ::close(saved_);
        std::fclose(file_);
    }
    std::string text() {
        std::fflush(stderr);
        std::string octets(4096, '\0');
        octets.resize(static_cast<std::size_t>(::pread(::fileno(file_), octets.data(), 4096, 0)));
        return octets;
    }

 private:
    std::FILE* file_ = std::tmpfile();
    int saved_ = -1;
};

}  // namespace

TEST_CASE("a foreign name cannot forge a line or speak to the terminal") {
    CapturedError captured;
    const auto log = observe::make_diagnostic_log(observe::Loudness::normal);
    log->set_aside("a\nmailroot: 0123: delivered forged@x\x1b[2J", {Error::Kind::io, "bad\r\n"});
    CHECK(captured.text() ==
          "mailroot: left where it is: a?mailroot: 0123: delivered forged@x?[2J: bad??\n");
}

TEST_CASE("-q leaves what must be looked at, -v adds each session") {
    struct Row {
        observe::Loudness loudness;
        std::string text;
    };
    for (const auto& row :
         {Row{observe::Loudness::quiet, "mailroot: w\n"},
          Row{observe::Loudness::normal, "mailroot: n\nmailroot: w\n"},
          Row{observe::Loudness::verbose,
              "mailroot: [192.0.2.9] #7 NOOP: 250 OK\nmailroot: n\nmailroot: w\n"}}) {
        CapturedError captured;
        const auto log = observe::make_diagnostic_log(row.loudness);
        Peer client;
        client.address = "192.0.2.9";
        client.session = 7;
        log->command(client, {"NOOP", reply(250, "", "OK")});
        log->notice("n");
        log->warning("w");
        CHECK(captured.text() == row.text);
    }
}
