// SPDX-License-Identifier: Apache-2.0
#include "switchd/unixctl/common.h"

#include <strings.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "switchd/base/log.h"

namespace vswitch::unixctl {
namespace {

bool equal_ignoring_case(const std::string& a, const char* b) {
  return ::strcasecmp(a.c_str(), b) == 0;
}

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& letter : result) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  return result;
}

// The table of Open vSwitch. There is no syslog, so its column is always OFF.
std::string vlog_list() {
  std::string text =
      "                 console    syslog    file\n"
      "                 -------    ------    ------\n";
  for (const log::ModuleLevel& module : log::list()) {
    const auto level = [&module](log::Destination destination) {
      return upper(log::to_string(module.levels[static_cast<std::size_t>(destination)]));
    };
    char line[160];
    std::snprintf(line, sizeof line, "%-16.100s  %4s       %4s       %4s\n", module.name.c_str(),
                  level(log::Destination::console).c_str(), "OFF", level(log::Destination::file).c_str());
    text += line;
  }
  return text;
}

// The format of a line of our log in the words of Open vSwitch; it is fixed.
std::string vlog_list_pattern() {
  constexpr const char* kFormat =
      "none                              %D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c|%p|%m\n";
  return std::string(
             "         prefix                            format\n"
             "         ------                            ------\n"
             "SYSLOG   none                              none\n"
             "CONSOLE  ") +
         kFormat + "FILE     " + kFormat;
}

std::vector<std::string> split(const std::string& text, const char* separators) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find_first_of(separators, at), text.size());
    if (end > at) parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

bool is_module(const std::string& word) {
  const auto modules = log::list();
  return std::any_of(modules.begin(), modules.end(), [&](const auto& module) { return module.name == word; });
}

// One SPEC: a module, a destination and a level in any order, each optional; without a level it means dbg.
void apply_vlog_spec(const std::string& spec) {
  const std::vector<std::string> words = split(spec, ":, \t");
  if (!words.empty() && equal_ignoring_case(words[0], "PATTERN"))
    throw Refused("the format of log lines is fixed: see vlog/list-pattern");
  if (!words.empty() && equal_ignoring_case(words[0], "FACILITY"))
    throw Refused("there is no syslog: lines go to standard error and to --log-file");
  std::string module;
  std::optional<log::Destination> destination;
  bool syslog = false;
  log::Level level = log::Level::dbg;
  for (const std::string& word : words) {
    if (equal_ignoring_case(word, "console")) {
      destination = log::Destination::console;
    } else if (equal_ignoring_case(word, "file")) {
      destination = log::Destination::file;
    } else if (equal_ignoring_case(word, "syslog")) {
      syslog = true;
    } else if (!equal_ignoring_case(word, "any") && !log::parse_level(word, level)) {
      if (!module.empty() || !is_module(word))
        throw Refused("no destination, level, or module \"" + word + "\"");
      module = word;
    }
  }
  if (syslog) {
    if (level == log::Level::off) return;  // it is off
    throw Refused("there is no syslog: lines go to standard error and to --log-file");
  }
  log::set_level(module, level, destination);
}

std::string vlog_set(Args args) {
  for (const std::string& spec : args) apply_vlog_spec(spec);
  return {};
}

std::string vlog_limit(Args args, bool on) {
  for (const std::string& module : args) {
    if (!equal_ignoring_case(module, "any") && !is_module(module)) throw Refused("unknown module");
  }
  if (args.empty()) log::limit_repeats("", on);
  for (const std::string& module : args) log::limit_repeats(module, on);
  return {};
}

std::string vlog_close(Args) {
  log::close_file();
  return {};
}

std::string vlog_reopen(Args) {
  try {
    if (!log::reopen()) throw Refused("Logging to file not configured");
  } catch (const std::system_error& error) {
    throw Refused(error.what());
  }
  return {};
}

std::string memory_show(const Figures& figures) {
  std::string text;
  for (const auto& [name, value] : figures)
    text += (text.empty() ? "" : " ") + name + ':' + std::to_string(value);
  return text + '\n';
}

std::string coverage_show(const Figures& figures) {
  std::string text = "Event coverage, since the start:\n";
  for (const auto& [name, value] : figures) {
    char line[160];
    std::snprintf(line, sizeof line, "%-24.100s   total: %llu\n", name.c_str(),
                  static_cast<unsigned long long>(value));
    text += line;
  }
  return text;
}

std::string read_counter(const Figures& figures, const std::string& wanted) {
  for (const auto& [name, value] : figures) {
    if (name == wanted) return std::to_string(value) + '\n';
  }
  throw Refused("No such counter");
}

bool wants_cleanup(Args args) {
  if (args.empty()) return false;
  if (args[0] != "--cleanup")
    throw Refused("\"" + args[0] + "\" is not an option of exit (only --cleanup is)");
  return true;
}

}  // namespace

void add_common(Registry& registry, CommonHooks hooks) {
  // Scripts look for the words in the middle, to know which features to expect.
  registry.add("version", "", 0, 0, [](Args) {
    return "vswitchd " VSWITCH_VERSION ", in place of ovs-vswitchd (Open vSwitch) " VSWITCH_OVS_VERSION "\n";
  });
  registry.add_async("exit", "[--cleanup]", 0, 1, [exit = hooks.exit](Args args, const Answer& answer) {
    const bool cleanup = wants_cleanup(args);
    answer("");
    exit(cleanup);
  });
  registry.add("vlog/list", "", 0, 0, [](Args) { return vlog_list(); });
  registry.add("vlog/list-pattern", "", 0, 0, [](Args) { return vlog_list_pattern(); });
  registry.add("vlog/set", "{spec | PATTERN:destination:pattern}", 1, Registry::kAnyNumber, vlog_set);
  registry.add("vlog/enable-rate-limit", "[module]...", 0, Registry::kAnyNumber,
               [](Args args) { return vlog_limit(args, true); });
  registry.add("vlog/disable-rate-limit", "[module]...", 0, Registry::kAnyNumber,
               [](Args args) { return vlog_limit(args, false); });
  registry.add("vlog/close", "", 0, 0, vlog_close);
  registry.add("vlog/reopen", "", 0, 0, vlog_reopen);
  registry.add("memory/show", "", 0, 0, [figures = hooks.memory](Args) { return memory_show(figures()); });
  registry.add("coverage/show", "", 0, 0,
               [figures = hooks.coverage](Args) { return coverage_show(figures()); });
  registry.add("coverage/read-counter", "COUNTER", 1, 1,
               [figures = hooks.coverage](Args args) { return read_counter(figures(), args[0]); });
}

}  // namespace vswitch::unixctl
