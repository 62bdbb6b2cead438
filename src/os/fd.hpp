#pragma once

#include <utility>

namespace mailroot::os {

/// An open file descriptor, closed with its owner. A lock held through it goes at the same moment.
class Fd {
 public:
    Fd() = default;
    explicit Fd(int number) : number_(number) {}
    ~Fd() { close(); }
    Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) {
            close();
            number_ = std::exchange(other.number_, -1);
        }
        return *this;
    }

    [[nodiscard]] int number() const { return number_; }
    explicit operator bool() const { return number_ >= 0; }

 private:
    void close();
    int number_ = -1;
};

}  // namespace mailroot::os
