// SPDX-License-Identifier: Apache-2.0
#include "switchd/history/event_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "schemas/json.h"
#include "switchd/base/files.h"
#include "switchd/base/log.h"
#include "switchd/base/wall_clock.h"
#include "switchd/history/event.h"

namespace vswitch::history {
namespace {

const log::Module kFileLog{"events"};

constexpr std::chrono::seconds kTryAgain{10};
constexpr std::size_t kMaxLineBytes = std::size_t{64} << 10;
constexpr std::size_t kTailBytes = std::size_t{128} << 10;

/// The last bytes of a regular file. Empty if there is none, or if it cannot be read; then `error` says why.
std::string read_end(const std::string& path, std::size_t most, int& error) {
  // Something else of this name, such as a pipe, must not make us wait.
  const UniqueFd file(open_past_own_link(path, O_RDONLY | O_NONBLOCK, 0));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) {
    error = errno == ENOENT ? 0 : errno;
    return {};
  }
  if (!S_ISREG(status.st_mode)) {
    error = EINVAL;
    return {};
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  std::string text(std::min(size, most), '\0');
  std::size_t got = 0;
  while (got < text.size()) {
    const ssize_t count = ::pread(file.get(), text.data() + got, text.size() - got,
                                  static_cast<off_t>(size - text.size() + got));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    got += static_cast<std::size_t>(count);
  }
  text.resize(got);
  if (size > most) text.erase(0, std::min(text.size(), text.find('\n')));  // the rest of a line
  return text;
}

std::optional<Kept> parse_event(std::string_view line) {
  if (line.size() > kMaxLineBytes) return std::nullopt;
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto text = [&json](const char* member) {
    const auto found = json.find(member);
    return found == json.end() || !found->is_string() ? std::string() : found->get<std::string>();
  };
  const auto number = json.find("number");
  const auto time = parse_iso_time(text("time"));
  const std::string topic = text("topic");
  const bool is_known = std::find(kTopics.begin(), kTopics.end(), topic) != kTopics.end();
  if (number == json.end() || !number->is_number_unsigned() || *number == 0 || !time || !is_known)
    return std::nullopt;
  return Kept{number->get<std::uint64_t>(), *time, topic, text("bridge"), text("name"), std::string(line)};
}

}  // namespace

std::vector<Kept> parse_events(const std::string& text, std::size_t most, std::size_t& damaged) {
  std::vector<Kept> events;
  std::string_view rest = text;
  // Backwards: what was written last counts, should numbers not be in order.
  while (!rest.empty() && events.size() < most) {
    const std::size_t before = rest.rfind('\n');
    const std::string_view line = before == std::string_view::npos ? rest : rest.substr(before + 1);
    rest = rest.substr(0, before == std::string_view::npos ? 0 : before);
    if (line.empty()) continue;
    auto event = parse_event(line);
    if (event && (events.empty() || event->number < events.back().number)) {
      events.push_back(std::move(*event));
    } else {
      ++damaged;
    }
  }
  std::reverse(events.begin(), events.end());
  return events;
}

EventFile::EventFile(std::string path, std::function<void(std::vector<Kept>)> loaded)
    : path_(std::move(path)), loaded_(std::move(loaded)) {
  for (const std::string& file : {path_, path_ + ".1"}) {
    int error = 0;
    std::size_t damaged = 0;
    const std::vector<Kept> events = parse_events(read_end(file, kTailBytes, error), 1, damaged);
    if (!events.empty()) {
      last_ = events.back().number;
      break;
    }
  }
  thread_ = std::thread([this] {
    const RoleScope role(roles::helper);
    run();
  });
}

EventFile::~EventFile() {
  {
    const MutexLock lock(mutex_);
    ends_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void EventFile::append(std::string line) {
  try {
    const MutexLock lock(mutex_);
    queue_.push_back(std::move(line));
    if (queue_.size() > kMaxEvents) queue_.pop_front();
  } catch (const std::bad_alloc&) {  // it is among the events in memory, which is what counts now
    return;
  }
  wake_.notify_one();
}

std::string EventFile::trouble() const {
  const MutexLock lock(mutex_);
  return trouble_;
}

void EventFile::run() {
  try {
    load();
  } catch (const std::exception& error) {
    log::warn(kFileLog, "the events of before could not be read from {}: {}", path_, error.what());
    loaded_({});
  }
  std::deque<std::string> lines;
  for (bool goes_on = true; goes_on;) {
    {
      const MutexLock lock(mutex_);
      if (lines.empty()) {
        wake_.wait(mutex_, [this]() REQUIRES(mutex_) { return ends_ || !queue_.empty(); });
      } else {
        wake_.wait_for(mutex_, kTryAgain, [this]() REQUIRES(mutex_) { return ends_; });
      }
      goes_on = !ends_;
      for (std::string& line : queue_) lines.push_back(std::move(line));
      queue_.clear();
    }
    while (lines.size() > kMaxEvents) lines.pop_front();
    write(lines);
  }
}

void EventFile::load() {
  std::vector<Kept> events;
  std::size_t damaged = 0;
  for (const std::string& file : {path_, path_ + ".1"}) {
    int error = 0;
    const std::string text = read_end(file, kMaxEventBytes, error);
    if (error != 0)
      log::warn(kFileLog, "{} cannot be read, so the events in it are left out: {}", file,
                error == EINVAL ? "it is not a regular file" : std::system_category().message(error));
    if (file == path_) is_torn_ = !text.empty() && text.back() != '\n';
    std::vector<Kept> more = parse_events(text, kMaxEvents - events.size(), damaged);
    if (file == path_) {
      lines_ = more.size();
      bytes_ = text.size();
    }
    while (!more.empty() && !events.empty() && more.back().number >= events.front().number) more.pop_back();
    events.insert(events.begin(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  }
  if (damaged != 0) log::warn(kFileLog, "{} damaged lines of {} are left out", damaged, path_);
  loaded_(std::move(events));
}

bool EventFile::open() {
  if (file_) return true;
  UniqueFd file(open_past_own_link(path_, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, 0640));
  struct stat status {};
  if (!file) return false;
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    errno = EINVAL;
    return false;
  }
  file_ = std::move(file);
  return true;
}

void EventFile::write(std::deque<std::string>& lines) {
  while (!lines.empty()) {
    if (!open()) return report(errno);
    std::string text = is_torn_ ? "\n" : "";
    std::size_t count = 0;
    // As many as still fit: a file that has enough is replaced.
    for (; count < lines.size() && lines_ + count < kMaxEvents && bytes_ + text.size() < kMaxEventBytes;
         ++count)
      text += lines[count] + '\n';
    if (count == 0) {
      rotate();
      continue;
    }
    const ssize_t written = ::write(file_.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written != static_cast<ssize_t>(text.size())) {
      const int error = written < 0 ? errno : ENOSPC;
      is_torn_ = is_torn_ || written > 0;
      file_ = UniqueFd();  // somebody may have replaced the file to make room
      return report(error);
    }
    is_torn_ = false;
    lines_ += count;
    bytes_ += text.size();
    lines.erase(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(count));
  }
  report(0);
}

void EventFile::rotate() {
  file_ = UniqueFd();
  // If it cannot be renamed, it is emptied: it must not grow for ever.
  if (std::rename(path_.c_str(), (path_ + ".1").c_str()) != 0 && ::truncate(path_.c_str(), 0) != 0)
    log::warn(kFileLog, "{} grows beyond its bound: {}", path_, std::system_category().message(errno));
  lines_ = bytes_ = 0;
  is_torn_ = false;
}

void EventFile::report(int error) {
  std::string trouble;
  if (error != 0)
    trouble = "cannot write " + path_ + ": " +
              (error == EINVAL ? "it is not a regular file" : std::system_category().message(error)) +
              "; trying again every " + std::to_string(kTryAgain.count()) + " s";
  {
    const MutexLock lock(mutex_);
    if (trouble == trouble_) return;
    trouble_ = trouble;
  }
  if (error != 0) {
    log::warn(kFileLog, "events would not outlive the daemon: {}", trouble);
  } else {
    log::info(kFileLog, "events are written to {} again", path_);
  }
}

}  // namespace vswitch::history
