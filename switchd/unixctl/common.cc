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

// Our log has one destination, so a module has one level; the table keeps Open vSwitch's three columns.
std::string vlog_list() {
  std::string text =
      "                 console    syslog    file\n"
      "                 -------    ------    ------\n";
  for (const log::ModuleLevel& module : log::list()) {
    const std::string level = upper(log::to_string(module.level));
    char line[160];
    std::snprintf(line, sizeof line, "%-16.100s  %4s       %4s       %4s\n", module.name.c_str(),
                  level.c_str(), level.c_str(), level.c_str());
    text += line;
  }
  return text;
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
  std::string module;
  log::Level level = log::Level::dbg;
  for (const std::string& word : split(spec, ":, \t")) {
    const bool destination = equal_ignoring_case(word, "console") || equal_ignoring_case(word, "syslog") ||
                             equal_ignoring_case(word, "file");
    if (destination || equal_ignoring_case(word, "any") || log::parse_level(word, level)) continue;
    if (!module.empty() || !is_module(word))
      throw Refused("no destination, level, or module \"" + word + "\"");
    module = word;
  }
  log::set_level(module, level);
}

std::string vlog_set(Args args) {
  for (const std::string& spec : args) apply_vlog_spec(spec);
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
  registry.add("vlog/set", "[module:][destination:]level...", 0, Registry::kAnyNumber, vlog_set);
  registry.add("vlog/reopen", "", 0, 0, vlog_reopen);
  registry.add("memory/show", "", 0, 0, [figures = hooks.memory](Args) { return memory_show(figures()); });
  registry.add("coverage/show", "", 0, 0,
               [figures = hooks.coverage](Args) { return coverage_show(figures()); });
  registry.add("coverage/read-counter", "COUNTER", 1, 1,
               [figures = hooks.coverage](Args args) { return read_counter(figures(), args[0]); });
}

}  // namespace vswitch::unixctl
