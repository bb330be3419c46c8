// SPDX-License-Identifier: Apache-2.0
#include "ctl/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "ctl/command.h"
#include "schemas/jsonrpc/stream_decoder.h"

namespace vswitch::ctl {
namespace {

using PatienceClock = std::chrono::steady_clock;

constexpr std::chrono::seconds kWriterPatience{1};  // the writer may be starting in the background
constexpr std::chrono::milliseconds kBetweenLooks{20};
constexpr std::size_t kMaxBytes = jsonrpc::DecodeLimits{}.message_bytes;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw UsageError("cannot read " + path + ": " + why);
}

[[noreturn]] void refuse(const std::string& path) {
  refuse(path, std::strerror(errno));
}

void check_kind(const std::string& path, const struct stat& status) {
  if (S_ISDIR(status.st_mode)) refuse(path, "it is a directory, not a file");
  if (S_ISSOCK(status.st_mode)) refuse(path, "it is a socket, not a file");
  if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) refuse(path, "it is a device, not a file");
}

/// tee(2) takes nothing out of the fifo, and tells "no data yet" (EAGAIN) from "no writer" (0).
void wait_for_writer(const std::string& path, int fifo) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) refuse(path);
  const Descriptor out(ends[0]), in(ends[1]);
  for (const PatienceClock::time_point deadline = PatienceClock::now() + kWriterPatience;
       PatienceClock::now() < deadline;) {
    if (::tee(fifo, in.get(), 1, SPLICE_F_NONBLOCK) != 0 && errno != EINTR) return;
    std::this_thread::sleep_for(kBetweenLooks);
  }
  refuse(path, "it is a fifo that nobody writes to");
}

void block(int fd) {
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

std::string read_all(const std::string& name, int fd) {
  std::string text;
  std::array<char, 65536> bytes;
  for (;;) {
    const ssize_t got = ::read(fd, bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse(name);
    if (got == 0) return text;
    text.append(bytes.data(), static_cast<std::size_t>(got));
    if (text.size() > kMaxBytes)
      refuse(name, "it is larger than " + std::to_string(kMaxBytes >> 20) +
                       " MiB, the most that a request may have");
  }
}

}  // namespace

int open_input(const std::string& path) {
  struct stat status {};
  // Before it is opened: that alone can make a device do something.
  if (::stat(path.c_str(), &status) != 0) refuse(path);
  check_kind(path, status);
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (fd.get() < 0 || ::fstat(fd.get(), &status) != 0) refuse(path);
  check_kind(path, status);
  if (S_ISFIFO(status.st_mode)) wait_for_writer(path, fd.get());
  block(fd.get());
  return fd.release();
}

std::string read_input(const std::string& path) {
  if (path == "-") return read_all("standard input", STDIN_FILENO);
  const Descriptor fd(open_input(path));
  return read_all(path, fd.get());
}

}  // namespace vswitch::ctl
