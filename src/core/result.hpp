#pragma once

#include <tl/expected.hpp>

#include <string>
#include <string_view>
#include <utility>

namespace mailroot {

/// Why something could not be done. Built on the way up with in(), printed once at the top.
struct [[nodiscard]] Error {
    enum class Kind {
        io,           ///< the disk or the network failed
        not_found,    ///< no such file, message or host
        exists,       ///< a file of that name stands there already
        busy,         ///< somebody else holds the claim
        permission,   ///< the system refused access
        parse,        ///< the input cannot be understood
        protocol,     ///< the peer broke SMTP
        config,       ///< the configuration cannot be used
        usage,        ///< the command line cannot be used
        unavailable,  ///< a service (a port, a server) cannot be had now
    };

    Kind kind;
    std::string what;  ///< one line, lower case, no trailing period

    /// The same error with the place in front: "Queue/0001.eml: disk full".
    [[nodiscard]] Error in(std::string_view where) && {
        what.insert(0, std::string(where) + ": ");
        return std::move(*this);
    }
};

/// A value, or the reason there is none.
template <class T>
using Result = tl::expected<T, Error>;

/// The failing side of a Result: `return fail(Error::Kind::parse, "no sender");`
[[nodiscard]] inline tl::unexpected<Error> fail(Error::Kind kind, std::string what) {
    return tl::unexpected<Error>(Error{kind, std::move(what)});
}

/// The error of a failed Result, passed on.
template <class T>
[[nodiscard]] tl::unexpected<Error> fail(Result<T>&& failed) {
    return tl::unexpected<Error>(std::move(failed).error());
}

/// The error of a failed Result, passed on with the place in front.
template <class T>
[[nodiscard]] tl::unexpected<Error> fail(Result<T>&& failed, std::string_view where) {
    return tl::unexpected<Error>(std::move(failed).error().in(where));
}

}  // namespace mailroot

/// Returns the error of a failed Result from the enclosing plain function. Not for coroutines,
/// where a hidden `return` does not compile: spell `if (!r) co_return fail(std::move(r));` there.
#define MAILROOT_TRY(expression)                                           \
    do {                                                                   \
        if (auto mailroot_try_result = (expression); !mailroot_try_result) \
            return ::mailroot::fail(std::move(mailroot_try_result));       \
    } while (false)
