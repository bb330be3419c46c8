// SPDX-License-Identifier: Apache-2.0
#include "switchd/base/journal.h"

#include <pthread.h>
#include <sys/stat.h>
#include <sys/uio.h>
#define SD_JOURNAL_SUPPRESS_LOCATION  // it would be this file for all of them
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <system_error>
#include <thread>
#include <utility>

#include "schemas/plain_text.h"

namespace vswitch::log {
namespace {

// sd_journal_sendv(3) sends there, and says nothing if it does not exist.
constexpr const char* kJournalSocket = "/run/systemd/journal/socket";

/// As syslog(3) has them.
int priority(Level level) {
  constexpr int kError = 3, kWarning = 4, kInfo = 6, kDebug = 7;
  switch (level) {
    case Level::off:
    case Level::err:
      return kError;
    case Level::warn:
      return kWarning;
    case Level::info:
      return kInfo;
    case Level::dbg:
      return kDebug;
  }
  return kInfo;
}

/// False if the journal has not got it. Waits while its socket is full.
bool send_to_journal(const std::vector<std::string>& assignments) {
  if (::access(kJournalSocket, F_OK) != 0) return false;
  std::vector<iovec> parts;
  parts.reserve(assignments.size());
  for (const std::string& one : assignments)
    parts.push_back({const_cast<char*>(one.data()), one.size()});  // which it only reads
  return ::sd_journal_sendv(parts.data(), static_cast<int>(parts.size())) == 0;
}

/// The stream of the journal understands a priority in front of a line (sd-daemon(3)).
bool send_to_stream(Level level, std::string_view message) {
  std::string line = '<' + std::to_string(priority(level)) + '>';
  line += message;
  line += '\n';
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

bool is_journal_stream(const char* stream, int fd) {
  if (stream == nullptr) return false;
  const std::string_view text = stream;
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return false;
  std::uint64_t device = 0, inode = 0;
  const auto parse = [](std::string_view digits, std::uint64_t& number) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  struct stat status {};
  return parse(text.substr(0, colon), device) && parse(text.substr(colon + 1), inode) &&
         ::fstat(fd, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

Journal::Journal() {
  std::thread([this] {
    const RoleScope role(roles::helper);
    run();
  }).detach();
}

Journal::Entry Journal::entry_of(Level level, std::string_view module, std::string_view text,
                                 const Fields& fields) {
  Entry entry{level, {}};
  entry.assignments.reserve(4 + fields.size());
  entry.assignments.push_back("MESSAGE=" + plain_text(text.substr(0, kMaxMessageBytes), ' '));
  entry.assignments.push_back("PRIORITY=" + std::to_string(priority(level)));
  entry.assignments.emplace_back("SYSLOG_IDENTIFIER=vswitchd");
  entry.assignments.push_back("VSWITCH_MODULE=" + std::string(module));
  for (const auto& [name, value] : fields)
    entry.assignments.push_back(std::string(name) + '=' +
                                plain_text(std::string_view(value).substr(0, kMaxMessageBytes), ' '));
  for (const std::string& one : entry.assignments) entry.bytes += one.size();
  return entry;
}

void Journal::put(Level level, std::string_view module, std::string_view text, const Fields& fields) {
  Entry entry = entry_of(level, module, text, fields);
  {
    const MutexLock lock(mutex_);
    queue_gap();
    if (lost_ != 0 || !has_room_for(entry)) {
      ++lost_;
      return;
    }
    queue(std::move(entry));
  }
  changed_.notify_all();
}

bool Journal::has_room_for(const Entry& entry) const {
  return queue_.size() < kMaxLines && bytes_ + entry.bytes <= kMaxBytes;
}

void Journal::queue(Entry entry) {
  bytes_ += entry.bytes;
  queue_.push_back(std::move(entry));
}

void Journal::queue_gap() {
  if (lost_ == 0) return;
  Entry gap = entry_of(
      Level::warn, "log",
      std::to_string(lost_) + " lines before this one were lost: the journal did not take them in time", {});
  if (!has_room_for(gap)) return;
  gap.lines = lost_;
  queue(std::move(gap));
  lost_ = 0;
}

bool Journal::flush(std::chrono::milliseconds patience) {
  const MutexLock lock(mutex_);
  return changed_.wait_for(mutex_, patience,
                           [this]() REQUIRES(mutex_) { return queue_.empty() && !sending_; });
}

void Journal::run() {
  ::pthread_setname_np(::pthread_self(), "journal");
  for (;;) {
    Entry entry;
    {
      const MutexLock lock(mutex_);
      changed_.wait(mutex_, [this]() REQUIRES(mutex_) { return !queue_.empty(); });
      entry = std::move(queue_.front());
      queue_.pop_front();
      bytes_ -= entry.bytes;
      sending_ = true;
    }
    constexpr std::size_t kName = std::string_view("MESSAGE=").size();
    const bool sent = send_to_journal(entry.assignments) ||
                      send_to_stream(entry.level, std::string_view(entry.assignments.front()).substr(kName));
    {
      const MutexLock lock(mutex_);
      sending_ = false;
      if (!sent) lost_ += entry.lines;
      // After the last line that waited; while nothing can be sent, there is no use in trying without end.
      if (sent && queue_.empty()) queue_gap();
    }
    changed_.notify_all();
  }
}

}  // namespace vswitch::log
