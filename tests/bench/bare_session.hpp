#pragma once

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

enum class Chunking { no, yes };

/// One client, to whom just enough SMTP is spoken; the business of one thread at a time. Replies to
/// what came together go out together: they are short, and the socket's buffer takes them.
class Session {
 public:
    enum class Wants { input, commit, end };

    explicit Session(int socket, Chunking chunking = Chunking::no)
        : fd(socket), chunking_(chunking) {
        say("220 bare ESMTP");
    }
    ~Session() { ::close(fd); }

    /// Takes what the socket has. False where the client has gone.
    bool receive() {
        std::array<char, 16 * 1024> buffer;
        const auto got = ::recv(fd, buffer.data(), buffer.size(), 0);
        if (got > 0) input_.append(buffer.data(), static_cast<std::size_t>(got));
        return got > 0;
    }

    /// Goes on until it needs something; where that is a commit, of `message`.
    Wants proceed() {
        auto wants = Wants::input;
        while (wants == Wants::input && take(wants)) continue;
        if (!replies_.empty()) ::send(fd, replies_.data(), replies_.size(), MSG_NOSIGNAL);
        replies_.clear();
        return wants;
    }

    void committed() { say("250 stored"); }

    const int fd;
    std::string recipient;  ///< the last one that was named
    std::string message;

 private:
    enum class Awaits { line, data, chunk };

    void say(std::string_view reply) {
        replies_ += reply;
        replies_ += "\r\n";
    }

    /// False where it takes more input.
    bool take(Wants& wants) {
        if (awaits_ == Awaits::data) return take_data(wants);
        return awaits_ == Awaits::chunk ? take_chunk(wants) : take_line(wants);
    }

    bool take_line(Wants& wants) {
        const auto end = input_.find("\r\n");
        if (end == std::string::npos) return false;
        const auto line = input_.substr(0, end), verb = line.substr(0, 4);
        // The end of the line that says DATA stays: the final dot is looked for behind a line's
        // end.
        input_.erase(0, verb == "DATA" ? end : end + 2);
        if (verb == "DATA") {
            awaits_ = Awaits::data;
            say("354 go on");
        } else if (verb == "BDAT") {
            begin_chunk(line);
        } else if (verb == "QUIT") {
            say("221 bye");
            wants = Wants::end;
        } else if (verb == "EHLO") {
            say("250-bare");
            if (chunking_ == Chunking::yes) say("250-CHUNKING");
            say("250 PIPELINING");
        } else {
            if (verb == "RCPT")
                recipient = line.substr(0, line.find('>')).substr(line.find('<') + 1);
            if (verb == "MAIL") message.clear();
            say("250 well");
        }
        return true;
    }

    bool take_data(Wants& wants) {
        constexpr std::string_view k_end = "\r\n.\r\n";
        const auto end = input_.find(k_end, searched_);
        if (end == std::string::npos) {
            searched_ = input_.size() < k_end.size() ? 0 : input_.size() - k_end.size() + 1;
            return false;
        }
        message.assign(input_, 2, end);
        input_.erase(0, end + k_end.size());
        searched_ = 0;
        awaits_ = Awaits::line;
        wants = Wants::commit;
        return true;
    }

    void begin_chunk(const std::string& line) {
        chunk_left_ = std::strtoull(line.c_str() + std::string_view("BDAT").size(), nullptr, 10);
        last_chunk_ = line.ends_with("LAST");
        awaits_ = Awaits::chunk;
    }

    bool take_chunk(Wants& wants) {
        const auto part = std::min(chunk_left_, input_.size());
        message.append(input_, 0, part);
        input_.erase(0, part);
        chunk_left_ -= part;
        if (chunk_left_ > 0) return false;
        awaits_ = Awaits::line;
        if (last_chunk_) {
            wants = Wants::commit;
        } else {
            say("250 more");
        }
        return true;
    }

    const Chunking chunking_;
    std::string input_, replies_;
    Awaits awaits_ = Awaits::line;
    std::size_t searched_ = 0;
    std::size_t chunk_left_ = 0;
    bool last_chunk_ = false;
};
