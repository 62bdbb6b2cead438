#pragma once

#include "core/result.hpp"
#include "core/tls_facts.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace mailroot::smtp {

/// Certificate and key of the server, and what it asks of a client: TLS 1.2 or 1.3 with ciphers
/// that give forward secrecy, no tickets (a client of Microsoft's breaks on resumed sessions), no
/// renegotiation, no client certificate. It does not change; another one takes its place.
class TlsContext {
 public:
    /// Reads PEM files: the certificate with its chain, and the key; an empty `key` stands for the
    /// certificate's file. Kind::config names the file and what is wrong with it.
    static Result<std::shared_ptr<const TlsContext>> load(const std::string& certificate,
                                                          const std::string& key);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    /// When the certificate runs out.
    [[nodiscard]] std::chrono::system_clock::time_point not_after() const;

 private:
    friend class TlsSession;
    struct State;
    explicit TlsContext(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// The server's side of TLS on one connected socket, which must not block. What cannot go on says
/// what it waits for; then the same is to be called again.
class TlsSession {
 public:
    enum class Status {
        done,
        wants_read,   ///< wait until the socket can be read
        wants_write,  ///< wait until it can be written
        ended,        ///< the client said goodbye, or hung up
        failed,       ///< see reason()
    };

    /// `socket` must outlive the session.
    TlsSession(std::shared_ptr<const TlsContext> context, int socket);
    ~TlsSession();
    TlsSession(const TlsSession&) = delete;
    TlsSession& operator=(const TlsSession&) = delete;

    Status handshake();
    /// `length` is set to the octets read.
    Status read(char* data, std::size_t size, std::size_t& length);
    /// `length` is set to the octets written.
    Status write(std::string_view octets, std::size_t& length);
    /// Says goodbye, if the socket takes it at once.
    void shutdown();

    /// Octets were received that read() did not give yet, so that the socket need not be readable.
    [[nodiscard]] bool has_pending() const;
    /// `TLSv1.3`
    [[nodiscard]] std::string protocol() const;
    /// `TLS_AES_256_GCM_SHA384`
    [[nodiscard]] std::string cipher() const;
    /// Why it failed, in words.
    [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
    Status status_of(int result);

    std::shared_ptr<const TlsContext> context_;
    struct State;
    std::unique_ptr<State> state_;
    std::string reason_;
};

/// Who is trusted to sign the certificates of other hosts. Read once: a system's list is long.
class TrustStore {
 public:
    /// From a PEM file; empty: the system's. Kind::config names the file.
    static Result<std::shared_ptr<const TrustStore>> load(const std::string& authorities);
    ~TrustStore();
    TrustStore(const TrustStore&) = delete;
    TrustStore& operator=(const TrustStore&) = delete;

    /// Has the sessions of a context, OpenSSL's `SSL_CTX*`, judged by it.
    void judge(void* context) const;

 private:
    struct State;
    explicit TrustStore(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// How the session with a server is encrypted, and whether its certificate is that of `host`, a
/// name or an address, and signed by who is trusted. `session` is OpenSSL's `SSL*`, after its
/// handshake.
[[nodiscard]] TlsFacts facts_of_session(void* session, const std::string& host);

}  // namespace mailroot::smtp
