#include "smtp/tls.hpp"

#include "core/address.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <csignal>
#include <cstring>
#include <ctime>

namespace mailroot::smtp {

namespace {

// Those of Mozilla's intermediate list for TLS 1.2; those of 1.3 are all good.
constexpr const char* k_ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

// Elliptic curves alone: with ffdhe a client has us compute for nothing (CVE-2002-20001).
constexpr const char* k_groups = "X25519:P-256:P-384:P-521";

constexpr const char* k_hung_up = "the client hung up";

/// The oldest complaint of the library, and forgets all of them.
std::string complaint() {
    const auto code = ERR_get_error();
    ERR_clear_error();
    if (code == 0) return "unknown error";
    if (ERR_SYSTEM_ERROR(code)) return lower_case(std::strerror(ERR_GET_REASON(code)));
    const char* const reason = ERR_reason_error_string(code);
    return reason == nullptr ? "error " + std::to_string(code) : std::string(reason);
}

tl::unexpected<Error> refused(const std::string& file, const std::string& what) {
    return fail(Error::Kind::config, file + ": " + what);
}

/// A service has nobody to ask.
int no_passphrase(char*, int, int, void* asked) {
    if (asked != nullptr) *static_cast<bool*>(asked) = true;
    return -1;
}

/// OpenSSL writes with write(2), which raises SIGPIPE where the client has hung up. The error it
/// gives besides is all we want.
void ignore_broken_pipes() {
    std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace

struct TlsContext::State {
    SSL_CTX* context = nullptr;
    ~State() { SSL_CTX_free(context); }
};

TlsContext::TlsContext(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<const TlsContext>> TlsContext::load(const std::string& certificate,
                                                           const std::string& key) {
    ignore_broken_pipes();
    ERR_clear_error();
    auto state = std::make_unique<State>();
    auto* const context = state->context = SSL_CTX_new(TLS_server_method());
    if (context == nullptr) return fail(Error::Kind::unavailable, "OpenSSL: " + complaint());
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(context, k_ciphers);
    SSL_CTX_set1_groups_list(context, k_groups);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    // A session that waits holds no buffers.
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);

    const auto& key_file = key.empty() ? certificate : key;
    if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1) {
        return refused(certificate, "no certificate can be read: " + complaint());
    }
    bool has_passphrase = false;
    SSL_CTX_set_default_passwd_cb_userdata(context, &has_passphrase);
    if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
        const auto why = complaint();
        if (has_passphrase) return refused(key_file, "the key has a passphrase; take it off");
        if (why == "key values mismatch" || why == "key type mismatch") {
            return refused(key_file, "is not the key of " + certificate);
        }
        return refused(key_file, "no private key can be read: " + why);
    }
    SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
    if (SSL_CTX_check_private_key(context) != 1) {
        return refused(key_file, "is not the key of " + certificate + ": " + complaint());
    }
    return std::shared_ptr<const TlsContext>(new TlsContext(std::move(state)));
}

std::chrono::system_clock::time_point TlsContext::not_after() const {
    std::tm end{};
    ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(state_->context)), &end);
    return std::chrono::system_clock::from_time_t(timegm(&end));
}

struct TlsSession::State {
    SSL* ssl = nullptr;
    ~State() { SSL_free(ssl); }
};

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context, int socket)
    : context_(std::move(context)), state_(std::make_unique<State>()) {
    state_->ssl = SSL_new(context_->state_->context);
    if (state_->ssl == nullptr || SSL_set_fd(state_->ssl, socket) != 1) {
        reason_ = complaint();
        return;
    }
    SSL_set_accept_state(state_->ssl);
}

TlsSession::~TlsSession() = default;

TlsSession::Status TlsSession::status_of(int result) {
    if (result == 1) return Status::done;
    switch (SSL_get_error(state_->ssl, result)) {
        case SSL_ERROR_WANT_READ:
            return Status::wants_read;
        case SSL_ERROR_WANT_WRITE:
            return Status::wants_write;
        case SSL_ERROR_ZERO_RETURN:
            reason_ = k_hung_up;
            return Status::ended;
        default:
            reason_ = ERR_peek_error() == 0 ? k_hung_up : complaint();
            return Status::failed;
    }
}

// The queue of complaints is the thread's: what another session left there is not ours.

TlsSession::Status TlsSession::handshake() {
    if (!reason_.empty()) return Status::failed;
    ERR_clear_error();
    return status_of(SSL_do_handshake(state_->ssl));
}

TlsSession::Status TlsSession::read(char* data, std::size_t size, std::size_t& length) {
    ERR_clear_error();
    length = 0;
    return status_of(SSL_read_ex(state_->ssl, data, size, &length));
}

TlsSession::Status TlsSession::write(std::string_view octets, std::size_t& length) {
    ERR_clear_error();
    length = 0;
    return status_of(SSL_write_ex(state_->ssl, octets.data(), octets.size(), &length));
}

void TlsSession::shutdown() {
    ERR_clear_error();
    SSL_shutdown(state_->ssl);
    ERR_clear_error();
}

bool TlsSession::has_pending() const {
    return SSL_has_pending(state_->ssl) == 1;
}

std::string TlsSession::protocol() const {
    return SSL_get_version(state_->ssl);
}

std::string TlsSession::cipher() const {
    return SSL_get_cipher_name(state_->ssl);
}

struct TrustStore::State {
    X509_STORE* store = X509_STORE_new();

    State() = default;
    ~State() { X509_STORE_free(store); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
};

TrustStore::TrustStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
TrustStore::~TrustStore() = default;

Result<std::shared_ptr<const TrustStore>> TrustStore::load(const std::string& authorities) {
    ERR_clear_error();
    auto state = std::make_unique<State>();
    const auto loaded = authorities.empty()
                            ? X509_STORE_set_default_paths(state->store)
                            : X509_STORE_load_file(state->store, authorities.c_str());
    if (loaded != 1) return refused(authorities, "no certificates can be read: " + complaint());
    return std::shared_ptr<const TrustStore>(new TrustStore(std::move(state)));
}

void TrustStore::judge(void* context) const {
    SSL_CTX_set1_cert_store(static_cast<SSL_CTX*>(context), state_->store);
}

TlsFacts facts_of_session(void* session, const std::string& host) {
    const auto* const ssl = static_cast<const SSL*>(session);
    TlsFacts facts{SSL_get_version(ssl), SSL_get_cipher_name(ssl)};
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(ssl),
                                                                  &X509_free);
    if (!certificate) return facts;
    const auto chain = SSL_get_verify_result(ssl);
    const bool named =
        X509_check_host(certificate.get(), host.data(), host.size(), 0, nullptr) == 1 ||
        X509_check_ip_asc(certificate.get(), host.c_str(), 0) == 1;
    facts.certificate = chain != X509_V_OK ? X509_verify_cert_error_string(chain)
                        : named            ? "verified"
                                           : "of another host";
    return facts;
}

}  // namespace mailroot::smtp
