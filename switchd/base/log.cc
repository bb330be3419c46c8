// SPDX-License-Identifier: Apache-2.0
#include "switchd/base/log.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <strings.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <memory>
#include <system_error>
#include <utility>

#include "datapath/base/thread_annotations.h"
#include "schemas/plain_text.h"
#include "switchd/base/files.h"
#include "switchd/base/journal.h"

namespace vswitch::log {
namespace {

using Clock = std::chrono::steady_clock;

// A token bucket for the lines of one module and format string.
struct Repeats {
  double tokens = kBurst;
  Clock::time_point filled = Clock::now();
  std::uint64_t left_out = 0;

  bool allow(Clock::time_point now) {
    const double minutes = std::chrono::duration<double, std::ratio<60>>(now - filled).count();
    tokens = std::min<double>(kBurst, tokens + minutes * kPerMinute);
    filled = now;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  }
};

constexpr std::size_t kMaxRepeats =
    4096;  // format strings are few; a caller that invents them cannot fill memory

/// "2024-05-01T12:00:00.123Z"
std::string timestamp() {
  const auto now = std::chrono::system_clock::now();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  return fmt::format("{:%FT%T}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(now)), ms % 1000);
}

// One line is one write(), so that lines of several threads and processes do not mix. False if a part of it was
// not written: a full disk must not stop the switch.
bool put(int fd, std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = ::write(fd, line.data(), line.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    line.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

/// "timestamp|00042|module|LEVEL|"
std::string start_of_line(std::uint64_t number, std::string_view module, Level level) {
  std::string line = fmt::format("{}|{:05}|{}|", timestamp(), number, module);
  for (const char letter : to_string(level)) line += static_cast<char>(letter - 'a' + 'A');
  return line + '|';
}

int open_for_append(const std::string& path) {
  const int fd = open_past_own_link(path, O_WRONLY | O_CREAT | O_APPEND, 0640);
  if (fd >= 0) return fd;
  if (errno == ELOOP) {
    throw std::system_error(
        errno, std::generic_category(),
        "the log file " + path +
            " is a symbolic link that neither root nor the user of the daemon made, so it "
            "is not followed: remove it, or name the file itself");
  }
  throw std::system_error(errno, std::generic_category(), "cannot open the log file " + path);
}

// Outside text (from a client, a device's name) must neither look like lines of ours nor steer a terminal.
void append_one_line(std::string& line, const std::string& text) {
  line += plain_text(text, ' ');
  line += '\n';
}

}  // namespace

struct Sink {
  void write(const Module& module, Level level, std::string_view key, const std::string& text,
             const Fields& fields) {
    const MutexLock lock(mutex);
    if (repeats.size() > kMaxRepeats) repeats.clear();
    Repeats& same = repeats[module.name() + '|' + std::string(key)];
    if (!same.allow(Clock::now()) && module.state_->limited.load(std::memory_order_relaxed)) {
      ++same.left_out;
      return;
    }
    if (const std::uint64_t left_out = std::exchange(same.left_out, 0)) {
      put_line(module, level, fmt::format("({} lines like the next one were left out)", left_out), {});
    }
    put_line(module, level, text, fields);
  }

  void put_line(const Module& module, Level level, const std::string& text, const Fields& fields)
      REQUIRES(mutex) {
    std::string line = start_of_line(++lines, module.name(), level);
    append_one_line(line, text);
    const auto wants = [&](Destination destination) {
      return level <=
             module.state_->levels[static_cast<std::size_t>(destination)].load(std::memory_order_relaxed);
    };
    if (wants(Destination::console)) {
      if (journal != nullptr) {
        journal->put(level, module.name(), text, fields);
      } else if (to_stderr) {
        put(STDERR_FILENO, line);
      }
    }
    if (file >= 0 && wants(Destination::file)) put_in_file(line);
  }

  void put_in_file(const std::string& line) REQUIRES(mutex) {
    if (unwritten != 0) {
      // On a line of its own: the last one may have been written in part.
      std::string gap = '\n' + start_of_line(++lines, "log", Level::warn);
      append_one_line(gap, fmt::format("{} lines before this one could not be written: {}", unwritten,
                                       std::system_category().message(unwritten_because)));
      if (!put(file, gap)) {
        ++unwritten;
        return;
      }
      unwritten = 0;
    }
    if (put(file, line)) return;
    unwritten_because = errno;
    ++unwritten;
  }

  /// The descriptor becomes the file, and standard error with it if it is to.
  void use_file(int fd) REQUIRES(mutex) {
    if (const int old = std::exchange(file, fd); old >= 0) ::close(old);
    if (!stderr_is_file || fd < 0) return;
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
  }

  Mutex mutex;
  std::map<std::string, Repeats> repeats GUARDED_BY(mutex);
  std::uint64_t lines GUARDED_BY(mutex) = 0;
  bool to_stderr GUARDED_BY(mutex) = true;
  Journal* journal GUARDED_BY(mutex) = nullptr;  ///< in place of standard error; never destroyed
  bool stderr_is_file GUARDED_BY(mutex) = false;
  int file GUARDED_BY(mutex) = -1;
  std::uint64_t unwritten GUARDED_BY(mutex) = 0;  ///< lines that the file did not take
  int unwritten_because GUARDED_BY(mutex) = 0;    ///< errno
  std::string path GUARDED_BY(mutex);
};

namespace {

// Never destroyed: lines may come from destructors at the very end.
Sink& sink() {
  static Sink& only = *new Sink;
  return only;
}

}  // namespace

struct Modules {
  Mutex mutex;
  std::map<std::string, std::unique_ptr<Module::State>, std::less<>> states GUARDED_BY(mutex);
  std::array<Level, kDestinations> initial GUARDED_BY(mutex) = {
      Level::info, Level::info};          ///< of modules that are named later
  bool limited GUARDED_BY(mutex) = true;  ///< the same

  static Modules& get() {
    static Modules& only = *new Modules;
    return only;
  }
};

Module::Module(std::string_view name) : state_(state_of(name)) {}

Module::State* Module::state_of(std::string_view name) {
  Modules& modules = Modules::get();
  const MutexLock lock(modules.mutex);
  auto& state = modules.states[std::string(name)];
  if (!state) {
    const auto& [console, file] = modules.initial;
    state.reset(new State{std::string(name), std::max(console, file), {console, file}, modules.limited});
  }
  return state.get();
}

bool parse_level(std::string_view text, Level& level) {
  static constexpr std::pair<const char*, Level> kNames[] = {{"off", Level::off},   {"emer", Level::err},
                                                             {"err", Level::err},   {"warn", Level::warn},
                                                             {"info", Level::info}, {"dbg", Level::dbg}};
  for (const auto& [name, value] : kNames) {
    if (::strcasecmp(std::string(text).c_str(), name) != 0) continue;
    level = value;
    return true;
  }
  return false;
}

std::string_view to_string(Level level) {
  static constexpr std::string_view kNames[] = {"off", "err", "warn", "info", "dbg"};
  return kNames[static_cast<std::size_t>(level)];
}

namespace {

bool means_all(std::string_view module) {
  return module.empty() || ::strcasecmp(std::string(module).c_str(), "any") == 0;
}

}  // namespace

bool set_level(std::string_view module, Level level, std::optional<Destination> destination) {
  Modules& modules = Modules::get();
  const MutexLock lock(modules.mutex);
  const auto set = [&](auto& levels) {
    for (std::size_t i = 0; i < kDestinations; ++i) {
      if (!destination || static_cast<std::size_t>(*destination) == i) levels[i] = level;
    }
  };
  const auto set_state = [&set](Module::State& state) {
    set(state.levels);
    state.level = std::max(state.levels[0].load(), state.levels[1].load());
  };
  if (means_all(module)) {
    set(modules.initial);
    for (auto& [name, state] : modules.states) set_state(*state);
    return true;
  }
  const auto it = modules.states.find(module);
  if (it == modules.states.end()) return false;
  set_state(*it->second);
  return true;
}

bool limit_repeats(std::string_view module, bool on) {
  Modules& modules = Modules::get();
  const MutexLock lock(modules.mutex);
  if (means_all(module)) {
    modules.limited = on;
    for (auto& [name, state] : modules.states) state->limited = on;
    return true;
  }
  const auto it = modules.states.find(module);
  if (it == modules.states.end()) return false;
  it->second->limited = on;
  return true;
}

std::vector<ModuleLevel> list() {
  Modules& modules = Modules::get();
  const MutexLock lock(modules.mutex);
  std::vector<ModuleLevel> all;
  for (const auto& [name, state] : modules.states)
    all.push_back({name, {state->levels[0].load(), state->levels[1].load()}});
  return all;
}

void open_file(const std::string& path) {
  const int fd = open_for_append(path);
  const MutexLock lock(sink().mutex);
  sink().use_file(fd);
  sink().path = path;
}

bool reopen() {
  std::string path;
  {
    const MutexLock lock(sink().mutex);
    path = sink().path;
  }
  if (path.empty()) return false;
  open_file(path);
  return true;
}

void close_file() {
  const MutexLock lock(sink().mutex);
  if (const int old = std::exchange(sink().file, -1); old >= 0) ::close(old);
}

void use_stderr(bool on) {
  const MutexLock lock(sink().mutex);
  sink().to_stderr = on;
}

void use_journal() {
  const MutexLock lock(sink().mutex);
  if (sink().journal == nullptr) sink().journal = new Journal;
}

namespace {

Journal* journal_in_use() {
  const MutexLock lock(sink().mutex);
  return sink().journal;
}

}  // namespace

bool uses_journal() {
  return journal_in_use() != nullptr;
}

void flush() {
  constexpr std::chrono::seconds kPatience{1};
  if (Journal* journal = journal_in_use()) journal->flush(kPatience);
}

void standard_error_is_file(bool on) {
  const MutexLock lock(sink().mutex);
  sink().stderr_is_file = on;
  if (const int fd = sink().file; on && fd >= 0) {
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
  }
}

void write(const Module& module, Level level, fmt::string_view format, fmt::format_args args,
           const Fields& fields) {
  sink().write(module, level, {format.data(), format.size()}, fmt::vformat(format, args), fields);
}

}  // namespace vswitch::log
