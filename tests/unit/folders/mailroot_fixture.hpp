#pragma once

#include "core/message_id.hpp"
#include "failing_files.hpp"
#include "folders/mailroot.hpp"
#include "folders/queue.hpp"
#include "scratch_folder.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>

/// A mailroot in a temporary folder, over files that can be made to fail.
struct MailrootFixture {
    ScratchFolder scratch;
    FailingFiles files;
    mailroot::folders::Mailroot mailroot =
        mailroot::folders::Mailroot::open(files, scratch.path(),
                                          mailroot::folders::IfMissing::create)
            .value();
    mailroot::SystemClock clock;
    mailroot::MessageIdSource ids{clock, 0x5eed};

    void write(const std::string& place, const std::string& octets) const {
        std::ofstream(scratch.path() / place, std::ios::binary) << octets;
    }
    [[nodiscard]] std::string read(const std::string& place) const {
        std::ifstream in(scratch.path() / place, std::ios::binary);
        REQUIRE_MESSAGE(in, place << " is not there");
        return {std::istreambuf_iterator<char>(in), {}};
    }
    [[nodiscard]] bool exists(const std::string& place) const {
        return std::filesystem::exists(scratch.path() / place);
    }
    [[nodiscard]] std::set<std::string> names(const std::string& folder) const {
        std::set<std::string> found;
        for (const auto& entry : std::filesystem::directory_iterator(scratch.path() / folder))
            found.insert(entry.path().filename());
        return found;
    }

    /// A message of Queue for these recipients, made the way intake does.
    mailroot::MessageId queued(const std::string& block, const std::string& message) {
        const auto id = ids.next();
        write("Queue/" + id.text() + ".eml", block + message);
        return id;
    }
};
