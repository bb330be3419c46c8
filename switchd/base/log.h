// SPDX-License-Identifier: Apache-2.0
// The daemon's log: one line per event, to standard error or a file.
//
//     const log::Module kLog{"control"};  // one per area: a name operators see in vlog/list
//     log::warn(kLog, "client {} does not read: {} bytes waiting", session.name(), backlog);
//
// A line: 2024-05-01T12:00:00.123Z|00042|control|WARN|sentence. Lines can be written from any thread. A
// repeated line (same module, same format string) is limited to kBurst and then kPerMinute; the next one that
// passes says how many were left out, so a port that fails for each frame cannot fill a disk. Lines that the
// file does not take (a full disk) are counted as well, and the next one that it takes says how many. If standard
// error is the system journal, lines go there as entries with fields (journal.h), also beside a file. Texts are
// format strings of libfmt, checked by the compiler. A line whose level is off costs one load and a branch.
#pragma once

#include <fmt/core.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vswitch::log {

enum class Level : std::uint8_t { off, err, warn, info, dbg };

inline constexpr int kBurst = 60;      ///< equal lines written before limiting starts
inline constexpr int kPerMinute = 20;  ///< and per minute after that

/// Where lines go.
enum class Destination : std::uint8_t { console, file };  // console: standard error, or the journal
inline constexpr std::size_t kDestinations = 2;

/// What a line is about, for the journal: {"VSWITCH_BRIDGE", "br0"}. Names are upper-case letters, digits and '_'.
using Fields = std::vector<std::pair<std::string_view, std::string>>;

struct ModuleLevel {
  std::string name;
  std::array<Level, kDestinations> levels;  ///< by Destination
};

/// A named source of lines with a level of its own. Objects of the same name share it. Lives as long as the
/// program.
class Module {
 public:
  explicit Module(std::string_view name);
  bool enabled(Level level) const { return level <= state_->level.load(std::memory_order_relaxed); }
  const std::string& name() const { return state_->name; }

 private:
  friend struct Modules;
  friend std::vector<ModuleLevel> list();
  friend struct Sink;
  friend bool set_level(std::string_view, Level, std::optional<Destination>);
  friend bool limit_repeats(std::string_view, bool);
  struct State {
    std::string name;
    std::atomic<Level> level;  ///< the highest of those of the destinations
    std::array<std::atomic<Level>, kDestinations> levels;
    std::atomic<bool> limited = true;
  };
  static State* state_of(std::string_view name);
  State* state_;
};

/// Level from off, emer, err, warn, info, dbg (ovs-appctl's words, any case); false for anything else.
bool parse_level(std::string_view text, Level& level);
std::string_view to_string(Level level);

/// For all modules, including later ones, if the name is empty or "ANY", and for both destinations if none is
/// given. False if there is no such module.
bool set_level(std::string_view module, Level level, std::optional<Destination> destination = std::nullopt);
/// Whether repeated lines of the module are limited (they are at the start), with the same names. False if
/// there is no such module.
bool limit_repeats(std::string_view module, bool on);
/// All modules, sorted by name.
std::vector<ModuleLevel> list();

/// Writes lines to this file from now on (appended, mode 0640). A symbolic link is followed only if root or
/// the user of the daemon made it. Throws std::system_error and then changes nothing.
void open_file(const std::string& path);
/// Opens the file again, after a log rotation moved it. False if there is no file; throws as open_file().
bool reopen();
/// Stops writing to the file, until reopen().
void close_file();
/// Whether lines also go to standard error (on at the start; --detach ends it).
void use_stderr(bool on);
/// From now on, lines for standard error are entries of the journal instead, which standard error is
/// (is_journal_stream()); use_stderr() is not about them. Starts a thread. Stays so.
void use_journal();
bool uses_journal();
/// Waits up to a second for the journal to take the lines that are still on their way: for the end of the program.
void flush();
/// Whether standard output and standard error are the file: so what libraries and the C runtime have to
/// say, above all before they abort, is not lost without a terminal. Follows open_file() and reopen().
/// Lines are not written twice: use_stderr(false) comes first. Off: the next file does not become them.
void standard_error_is_file(bool on);

/// Formats the arguments and writes the line, whatever its level; `format` also identifies repeated lines.
/// Use the functions below.
void write(const Module& module, Level level, fmt::string_view format, fmt::format_args args,
           const Fields& fields = {});

/// A line of any level, if the module's level lets it pass.
template <typename... Args>
void line(const Module& module, Level level, fmt::format_string<Args...> format, Args&&... args) {
  if (module.enabled(level)) write(module, level, format, fmt::make_format_args(args...));
}
/// The same, with fields for the journal.
template <typename... Args>
void line_about(const Fields& fields, const Module& module, Level level, fmt::format_string<Args...> format,
                Args&&... args) {
  if (module.enabled(level)) write(module, level, format, fmt::make_format_args(args...), fields);
}
template <typename... Args>
void err(const Module& module, fmt::format_string<Args...> format, Args&&... args) {
  line(module, Level::err, format, std::forward<Args>(args)...);
}
template <typename... Args>
void warn(const Module& module, fmt::format_string<Args...> format, Args&&... args) {
  line(module, Level::warn, format, std::forward<Args>(args)...);
}
template <typename... Args>
void info(const Module& module, fmt::format_string<Args...> format, Args&&... args) {
  line(module, Level::info, format, std::forward<Args>(args)...);
}
template <typename... Args>
void dbg(const Module& module, fmt::format_string<Args...> format, Args&&... args) {
  line(module, Level::dbg, format, std::forward<Args>(args)...);
}

}  // namespace vswitch::log
