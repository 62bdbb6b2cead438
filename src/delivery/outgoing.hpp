#pragma once

#include "delivery/context.hpp"
#include "delivery/destinations.hpp"
#include "folders/message_reader.hpp"

#include <memory>

namespace mailroot::delivery {

/// A message of the disk as the SMTP client reads it, off the event loop.
class FileMessage final : public OutgoingMessage {
 public:
    FileMessage(const Context& context, std::unique_ptr<folders::MessageReader> reader)
        : context_(context), reader_(std::move(reader)) {}

    [[nodiscard]] std::uint64_t size() const override { return reader_->size(); }
    smtp::Task<Result<std::string>> next() override;
    [[nodiscard]] bool read_to_the_end() const override { return at_end_; }

 private:
    const Context& context_;
    const std::unique_ptr<folders::MessageReader> reader_;
    bool at_end_ = false;
};

}  // namespace mailroot::delivery
