#include "os/fd.hpp"

#include <unistd.h>

namespace mailroot::os {

void Fd::close() {
    // Nothing is lost with the result: what had to be durable was synced before.
    if (number_ >= 0) ::close(number_);
    number_ = -1;
}

}  // namespace mailroot::os
