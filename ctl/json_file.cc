// SPDX-License-Identifier: Apache-2.0
#include "ctl/json_file.h"

#include <set>
#include <string_view>
#include <vector>

#include "ctl/command.h"
#include "ctl/input_file.h"
#include "schemas/nesting.h"

namespace vswitch::ctl {
namespace {

/// What the parser says, from the line on.
std::string from_line(std::string_view what) {
  constexpr std::string_view kBefore = "parse error at ";
  const std::size_t at = what.find(kBefore);
  return std::string(at == what.npos ? what : what.substr(at + kBefore.size()));
}

Json parse_file(const std::string& path, bool may_repeat) {
  const std::string text = read_input(path);
  const std::string name = path == "-" ? "standard input" : path;
  if (text.empty()) throw UsageError(name + " is empty");
  if (nests_deeper_than(kMaxNesting, text)) {
    throw UsageError(name + " has arrays and objects nested more than " + std::to_string(kMaxNesting) +
                     " levels deep");
  }
  std::vector<std::set<std::string>> members;  // of the objects that are open
  const auto check = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) members.emplace_back();
    if (event == Json::parse_event_t::object_end) members.pop_back();
    if (event == Json::parse_event_t::key && !members.back().insert(parsed).second)
      throw UsageError(name + " has two members named " + parsed.dump() +
                       " in one object: remove one of them");
    return true;
  };
  try {
    return may_repeat ? Json::parse(text) : Json::parse(text, check);
  } catch (const Json::exception& error) {
    throw UsageError(name + " is not JSON: " + from_line(error.what()));
  }
}

}  // namespace

Json read_json(const std::string& path) {
  return parse_file(path, true);
}

Json read_json_without_repeats(const std::string& path) {
  return parse_file(path, false);
}

}  // namespace vswitch::ctl
