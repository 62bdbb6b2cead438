#pragma once

#include "core/quantity.hpp"
#include "core/result.hpp"

#include <chrono>
#include <compare>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mailroot::config {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

/// Where OAuth2 tokens come from (RFC 6749). With a refresh token the grant is that, else the
/// client's own.
struct OauthClient {
    std::string endpoint{};  ///< `https://...`
    std::string client_id{};
    std::string client_secret_file{};  ///< file: its first line is the secret; empty: there is none
    std::string client_authentication = "body";  ///< how it is shown: `body` or `basic`
    std::string refresh_token_file{};  ///< file: its first line; written anew when it is exchanged
    std::string scope{};               ///< what the token is for; empty: not said

    auto operator<=>(const OauthClient&) const = default;
};

/// Who we are to a smart host, and the one place where the secret comes from. In the configuration
/// itself there is none.
struct SmartHostLogin {
    std::string user{};                           ///< empty: no login
    std::string password_file{};                  ///< file: its first line is the password
    std::vector<std::string> password_command{};  ///< program and arguments; prints the password
    std::vector<std::string> token_command{};     ///< the same for an OAuth2 access token
    std::optional<OauthClient> oauth{};

    /// An OAuth2 access token is shown, not a password.
    [[nodiscard]] bool by_token() const { return oauth || !token_command.empty(); }

    auto operator<=>(const SmartHostLogin&) const = default;
};

/// What is special about mail for one domain elsewhere, or for those below `*.example.com`.
struct RemoteDomain {
    bool relay = false;             ///< everybody may send there through us
    bool triggered = false;         ///< its mail waits until its host asks for it (ETRN, ATRN)
    std::vector<std::string> turn;  ///< users who may fetch it (ATRN)
    std::string tls;                ///< `delivery.tls` for it; empty: as for others
    std::optional<std::string> smart_host;  ///< `delivery.smartHost` for it; empty text: its MX
    SmartHostLogin smart_host_login;        ///< there, and at no other
    std::optional<Rate> rate;               ///< messages sent there at most; none: no limit
};

/// Everything `mailroot.json` can say, with its defaults: IIS 6's where it has one (IIS-SMTP.md
/// section 5). Keys are the member names in camelCase: `delivery.connectionsPerDomain`.
struct Settings {
    std::string hostname;  ///< in greetings, Received and Message-ID; empty in the file: the
                           ///< machine's full name
    std::vector<std::string> listen{"0.0.0.0:25", "[::]:25"};  ///< where SMTP is served, each
                                                               ///< perhaps with a word on TLS

    struct Domains {
        std::string default_domain;  ///< `domains.default`; empty in the file: the hostname
        std::vector<std::string>
            aliases;  ///< further local domains, `example.com` or `*.example.com`
        std::map<std::string, std::string>
            recipients;  ///< local domain to the file that lists who is there; others: everybody
        std::map<std::string, RemoteDomain>
            remote;  ///< by domain or `*.example.com`, in small letters
    } domains;

    struct Relay {
        std::vector<std::string> networks{"127.0.0.0/8",
                                          "::1/128"};  ///< RelayIpList, but for loopback empty
        bool authenticated = true;                     ///< RelayForAuth
    } relay;

    struct Access {
        std::vector<std::string> allow;       ///< networks that may connect; empty: all
        std::vector<std::string> deny;        ///< networks that may not, whatever `allow` says
        std::vector<std::string> proxies;     ///< networks that speak the PROXY protocol to us
        std::vector<std::string> blocklists;  ///< DNS blocklists, `zen.example.org`
        bool reverse_lookup = false;          ///< name the client's host in Received
    } access;

    struct Limits {
        std::uint64_t message_size = 32u << 20;   ///< MaxMessageSize; 0: no limit
        std::uint64_t session_size = 256u << 20;  ///< MaxSessionSize, of all messages; 0: no limit
        std::uint64_t recipients = 100;           ///< MaxRecipients of a message taken over SMTP
        std::uint64_t messages_per_connection =
            0;                             ///< taken in one session; the schema's 0: no limit
        std::uint64_t connections = 1000;  ///< MaxConnections at once
        // The next three spare relay.networks, as Postfix spares mynetworks.
        std::uint64_t connections_per_ip = 50;     ///< at once (Postfix); 0: no limit
        std::uint64_t connections_per_minute = 0;  ///< new ones of one address; 0: no limit
        std::uint64_t recipients_per_minute = 0;   ///< asked for by one address; 0: no limit
        std::uint64_t errors = 20;                 ///< commands refused for good; 0: no limit
        std::uint64_t unknown_commands = 10;       ///< 0: no limit
        std::uint64_t idle_commands = 100;  ///< NOOP and the like between messages; 0: no limit
        milliseconds idle = 10min;          ///< ConnectionTimeout (RFC 5321 4.5.3.2.7: at least 5)
        std::uint64_t min_rate = 500;       ///< octets/s of a message after `idle`; 0: no limit
        std::uint64_t min_free = 1u << 20;  ///< left on the disk, else 452; 0: no limit
        std::string bare_newline = "normalize";  ///< `normalize` to CRLF, or `reject`
    } limits;

    struct Tls {
        std::string certificate;  ///< file: PEM, with its chain; empty: no TLS
        std::string key;          ///< file: PEM; empty: in the certificate's
        std::string authorities;  ///< file: PEM, who may sign for other hosts; empty: the system's
    } tls;

    struct Auth {
        std::string users;                ///< file of `name:hash`; empty: no AUTH
        bool require_tls = true;          ///< AUTH is offered under TLS alone
        std::uint64_t failures = 3;       ///< then the session ends
        milliseconds failure_delay = 3s;  ///< before each refusal
    } auth;

    struct Drop {
        std::uint64_t quota = 0;  ///< octets of all files there; then 452 4.2.2; 0: no limit
    } drop;

    struct Badmail {
        milliseconds keep = 24h * 30;       ///< then a message goes; 0s: never (IIS)
        std::uint64_t max_size = 1u << 30;  ///< octets of all; then the oldest go; 0: no limit
        std::uint64_t max_count = 0;        ///< messages; then the oldest go; 0: no limit
    } badmail;

    struct Delivery {
        std::vector<milliseconds> retry{15min, 30min, 60min,
                                        240min};  ///< SmtpRemoteProgressiveRetry; the last repeats
        milliseconds delay_notice = 12h;          ///< SmtpRemoteDelayExpireMinutes; 0: none
        milliseconds expire = 48h;  ///< SmtpRemoteNDRExpireMinutes, judged after a failed attempt
        std::vector<milliseconds> local_retry{60min};  ///< LocalRetryInterval; likewise
        milliseconds local_delay_notice = 12h;         ///< SmtpLocalDelayExpireMinutes; 0: none
        milliseconds local_expire = 48h;               ///< SmtpLocalNDRExpireMinutes
        std::uint64_t hops = 15;                       ///< HopCount: Received fields at most
        std::uint64_t connections = 1000;              ///< MaxOutConnections
        std::uint64_t connections_per_domain = 100;    ///< MaxOutConnectionsPerDomain
        std::uint64_t messages_per_connection = 20;  ///< MaxBatchedMessages; then a new connection
        std::uint64_t recipients_per_message = 100;  ///< MaxRecipients; then a further transaction
        std::string masquerade;  ///< MasqueradeDomain: stands for ours in MAIL FROM; empty: none
        std::vector<std::string>
            bind_address;        ///< of this machine, one a family; empty: what the system chooses
        std::string proxy;       ///< `socks5://host:port`; empty: none
        std::string proxy_user;  ///< to log in there as; empty: not at all
        std::string proxy_password_file;  ///< file: its first line is the password
        bool direct_first = false;        ///< SmartHostType 2: the MX hosts, then the smart host
        std::uint16_t port = 25;          ///< RemoteSmtpPort: of the MX hosts
        std::string smart_host;  ///< where all mail for other domains goes; empty: to their MX
        SmartHostLogin smart_host_login;  ///< there
        std::string tls = "may";          ///< `none`, `may`, `encrypt` or `verify`
    } delivery;

    struct Ndr {
        std::string copy_to;  ///< SendNdrTo: has a copy of each failure report; empty: nobody
        std::uint64_t max_size = 10u << 20;  ///< MaxDSNSize, of the message it returns; 0: no limit
        Rate rate{200, 1h};                  ///< reports to one sender; 0 of them: no limit
    } ndr;

    struct Dns {
        std::vector<std::string> servers;  ///< `IP` or `IP:port`; empty: the system's resolvers
        milliseconds timeout = 5s;         ///< of the first try at one server
    } dns;

    struct Pickup {
        std::string dots = "auto";  ///< `auto`, `unstuff` (IIS), `raw`: see mailroot.json(5)
        bool keep_bcc = false;      ///< leave Bcc fields in, as IIS did
        milliseconds rescan = 30s;  ///< a look at the whole folder, beside inotify's events
        milliseconds settle = 2s;   ///< unchanged that long, a file is taken to be whole
    } pickup;
};

/// The settings in force: defaults, then the file's, then each `key.path=VALUE` of `overrides`
/// (`--set`; VALUE is JSON, or else plain text), then what is empty completed from
/// `machine_name`, which gives the machine's full name and is asked only then. `file` need not
/// exist where `optional`. Kind::config names the file, the key and, for an unknown key, the
/// nearest known one; for bad JSON the line.
Result<Settings> load(const std::filesystem::path& file, bool optional,
                      const std::vector<std::string>& overrides,
                      const std::function<std::string()>& machine_name);

/// What no key can tell of its own value: a listener whose TLS needs a certificate, a key without
/// one. load() asks for it; who changes settings afterwards asks again. Kind::config names the key.
Result<void> check_together(const Settings& settings);

/// All settings as the JSON that load() reads, indented, keys in the manual's order.
[[nodiscard]] std::string to_json(const Settings& settings);

/// One key as the manual and the completions name it.
struct Key {
    std::string_view path;     ///< `delivery.port`
    std::string_view meaning;  ///< one line
};

/// Every key there is, in the manual's order.
[[nodiscard]] std::vector<Key> keys();

}  // namespace mailroot::config
