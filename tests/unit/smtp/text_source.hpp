#pragma once

#include "smtp/client.hpp"

#include <algorithm>
#include <string>
#include <utility>

/// A message to send that is a text, given out in portions.
class TextSource final : public mailroot::smtp::MessageSource {
 public:
    explicit TextSource(std::string text) : text_(std::move(text)) {}
    [[nodiscard]] std::uint64_t size() const override { return text_.size(); }
    mailroot::smtp::Task<mailroot::Result<std::string>> next() override {
        const auto portion = text_.substr(std::min(at_, text_.size()), 32768);
        at_ += portion.size();
        co_return portion;
    }

 private:
    const std::string text_;
    std::size_t at_ = 0;
};
