#pragma once

#include "folders/badmail.hpp"
#include "folders/disk_work.hpp"
#include "message/envelope_block.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

/// What must be true of the folders once a machine runs again.
namespace disk_work {

using Recipients = std::multiset<std::string>;

/// The body, behind as many fields of ours as it was taken on its way.
inline bool is_whole(std::string_view message) {
    while (message.starts_with(k_added)) message.remove_prefix(k_added.size());
    return message == k_body;
}

/// The unsettled recipients of all files with this extension, each of which must be whole.
inline Recipients recipients_in(const Machine& machine, const std::string& folder,
                                const std::string& extension) {
    Recipients found;
    for (const auto& name : machine.names(folder)) {
        if (name.starts_with('.') || !name.ends_with(extension)) continue;
        CAPTURE(name);
        const auto text = machine.octets(folder, name);
        if (text == k_no_mail) continue;
        const auto block = message::parse_envelope_block(text);
        REQUIRE(block);
        CHECK(is_whole(text.substr(block->length)));
        for (const auto& recipient : block->envelope.recipients)
            if (!recipient.settled) found.insert(recipient.address.text());
    }
    return found;
}

/// The recipients of files of applications that nobody made messages of yet.
inline Recipients recipients_of_pickups(const Machine& machine) {
    Recipients found;
    const auto add = [&](const std::string& text) {
        const auto block = message::parse_envelope_block(text);
        REQUIRE(block);
        CHECK((is_whole(text.substr(block->length)) || text == k_no_mail));
        for (const auto& recipient : block->envelope.recipients)
            found.insert(recipient.address.text());
    };
    for (const auto& name : machine.names("Pickup")) add(machine.octets("Pickup", name));
    const auto queue = machine.names("Queue");
    for (const auto& name : queue) {
        const auto stem = name.substr(0, name.rfind('.'));
        if (name.ends_with(".pickup") && !queue.contains(stem + ".eml"))
            add(machine.octets("Queue", name));
    }
    return found;
}

/// How many files hold what is no mail, wherever it is.
inline std::size_t count_no_mail(const Machine& machine) {
    std::size_t count = 0;
    for (const auto* folder : {"Pickup", "Queue", "Badmail"}) {
        for (const auto& name : machine.names(folder))
            if (machine.octets(folder, name) == k_no_mail) ++count;
    }
    return count;
}

/// Every bad message has its reason and its properties beside it.
inline void check_descriptions(const Machine& machine) {
    for (const auto& name : machine.names("Badmail")) {
        if (!name.ends_with(".bad")) continue;
        CAPTURE(name);
        const auto stem = name.substr(0, name.rfind('.'));
        const auto properties = Badmail(*machine.mailroot).look(stem);
        REQUIRE(properties);
        REQUIRE(machine.names("Badmail").contains(stem + ".bdr"));
        const auto reason = machine.octets("Badmail", stem + ".bdr");
        CHECK(reason.starts_with("Unable to deliver this message"));
        for (const auto& failure : properties->failures)
            CHECK(reason.find(failure.recipient) != std::string::npos);
    }
}

/// Nothing of ours is left but messages and what describes them.
inline void check_swept(const Machine& machine) {
    for (const auto* folder : {"Queue", "Drop", "Badmail"}) {
        CAPTURE(folder);
        const auto names = machine.names(folder);
        for (const auto& name : names) {
            CAPTURE(name);
            CHECK_FALSE(name.starts_with('.'));
            const auto stem = name.substr(0, name.rfind('.'));
            if (name.ends_with(".json"))
                CHECK((names.contains(stem + ".eml") || names.contains(stem + ".pickup")));
            if (name.ends_with(".bdp") || name.ends_with(".bdr"))
                CHECK(names.contains(stem + ".bad"));
        }
    }
}

/// How often a message may be in more places than one.
enum class Copies { one, several };

/// Recovered, but nothing else done yet: each recipient is in one place.
inline void check_places(const Machine& machine, const std::vector<std::string>& recipients,
                         Copies copies) {
    const auto dropped = recipients_in(machine, "Drop", ".eml");
    const auto bad = recipients_in(machine, "Badmail", ".bad");
    const auto waiting = recipients_in(machine, "Queue", ".eml");
    const auto submitted = recipients_of_pickups(machine);
    for (const auto& recipient : recipients) {
        CAPTURE(recipient);
        const auto at_rest = dropped.count(recipient) + bad.count(recipient);
        const auto to_do = waiting.count(recipient) + submitted.count(recipient);
        const bool may_be_nowhere = !machine.answered || machine.sent.contains(recipient);
        CHECK((at_rest + to_do > 0 || may_be_nowhere));
        if (copies == Copies::several) continue;
        CHECK(at_rest + to_do <= 1);
        if (machine.recorded.contains(recipient)) CHECK(to_do == 0);
    }
    check_descriptions(machine);
}

/// Nothing is left to do: each recipient has got the message, once.
inline void check_arrivals(const Machine& machine, const std::vector<std::string>& recipients,
                           Copies copies) {
    const auto dropped = recipients_in(machine, "Drop", ".eml");
    const auto bad = recipients_in(machine, "Badmail", ".bad");
    for (const auto& recipient : recipients) {
        CAPTURE(recipient);
        // Another host's answer may be forgotten until it is recorded: then it gets it again.
        const std::size_t most = recipient.ends_with("@here") || recipient.ends_with("@bad") ||
                                         machine.recorded.contains(recipient)
                                     ? 1
                                     : 2;
        const auto arrived =
            dropped.count(recipient) + bad.count(recipient) + machine.sent.count(recipient);
        CHECK((arrived >= 1 || !machine.answered));
        if (copies == Copies::one) CHECK(arrived <= most);
    }
    check_descriptions(machine);
    if (copies == Copies::one) CHECK(machine.names("Queue").empty());
}

}  // namespace disk_work
