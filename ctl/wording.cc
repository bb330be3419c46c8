// SPDX-License-Identifier: Apache-2.0
#include "ctl/wording.h"

#include <boost/algorithm/string/replace.hpp>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

namespace vswitch::ctl {
namespace {

struct Word {
  std::string_view member;
  std::string_view option;
};
/// Members whose option has another name. Items and members of these objects have the option of the object.
constexpr Word kOptions[] = {
    {"destination.endpoints", "--endpoint"},
    {"destination.ports", "--output"},
    {"destination.record_bytes", "--record"},
    {"destination.record_seconds", "--record"},
    {"destination.vlan", "--output-vlan"},
    {"external_ids", "--external-id"},
    {"mtu_request", "--mtu"},
    {"next", "--next"},
    {"ofport_request", "--ofport"},
    {"options", "--option"},
    {"sources", "--source"},
    {"sources.vlans", "--source-vlan"},
    {"superframes", "--gso-packets"},
};

std::string dashed(std::string_view member) {
  return "--" + boost::algorithm::replace_all_copy(std::string(member), "_", "-");
}

/// "sources.ports[0].mac" -> "sources.ports.mac"
std::string without_indices(std::string_view field) {
  std::string path;
  bool inside = false;
  for (const char c : field) {
    inside = inside || c == '[';
    if (!inside) path += c;
    if (c == ']') inside = false;
  }
  return path;
}

/// The option of the command for a member, or for the object that it belongs to.
std::optional<std::string> option_of(const CLI::App& command, std::string_view path) {
  const auto known = std::find_if(std::begin(kOptions), std::end(kOptions),
                                  [path](const Word& word) { return word.member == path; });
  const std::size_t dot = path.rfind('.');
  const std::string option = known != std::end(kOptions)
                                 ? std::string(known->option)
                                 : dashed(path.substr(dot == path.npos ? 0 : dot + 1));
  if (command.get_option_no_throw(option) != nullptr) return option;
  return dot == path.npos ? std::nullopt : option_of(command, path.substr(0, dot));
}

/// What a word of the daemon is called here: an option, or a command (mirror.set is set-mirror).
std::optional<std::string> typed_as(const CLI::App& program, std::string_view word) {
  const std::size_t dot = word.find('.');
  const std::string name = dot == word.npos
                               ? std::string()
                               : std::string(word.substr(dot + 1)) + '-' + std::string(word.substr(0, dot));
  for (const CLI::App* command : program.get_subcommands({})) {
    if (command->get_name() == name) return name;
    if (auto option = option_of(*command, word)) return option;
  }
  return std::nullopt;
}

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || c == '_' || c == '.';
}

}  // namespace

std::string in_options(const CLI::App& command, const std::string& field, std::string_view sentence) {
  constexpr std::string_view kDocument = "document.";
  if (field.starts_with(kDocument)) {  // its members are not options
    const std::size_t at = sentence.find(field);
    if (at == sentence.npos) return std::string(sentence);
    std::string text(sentence.substr(0, at));
    boost::algorithm::replace_first(text, "unknown parameter", "unknown member");
    return text + std::string(sentence.substr(at + kDocument.size()));
  }
  if (field.empty() || !sentence.starts_with(field)) return std::string(sentence);
  std::string rest(sentence.substr(field.size()));
  const auto option = option_of(command, without_indices(field));
  if (!option) return rest.starts_with(": ") ? rest.substr(2) : std::string(sentence);
  for (const auto& [api, ours] :
       {std::pair("an integer", "a whole number"), {" or null", " or none"}, {"\"\", ", ""}})
    boost::algorithm::replace_first(rest, api, ours);
  return *option + rest;
}

std::string in_options(const CLI::App& program, std::string_view sentence) {
  std::string text;
  for (std::size_t at = 0; at < sentence.size();) {
    const auto end =
        std::find_if_not(sentence.begin() + static_cast<std::ptrdiff_t>(at), sentence.end(), is_word);
    std::string_view word = sentence.substr(at, static_cast<std::size_t>(end - sentence.begin()) - at);
    while (word.ends_with('.')) word.remove_suffix(1);
    const bool starts = at == 0 || sentence[at - 1] == ' ' || sentence[at - 1] == '(';
    const std::string_view after = sentence.substr(at + word.size());
    const bool ends = after.empty() || std::string_view(" ,;.)").find(after[0]) != std::string_view::npos ||
                      after.starts_with(": ");
    const bool is_member = word.find_first_of("_.") != word.npos && starts && ends;
    const auto ours = is_member ? typed_as(program, word) : std::nullopt;
    const std::size_t taken = std::max<std::size_t>(word.size(), 1);
    text += ours ? *ours : std::string(sentence.substr(at, taken));
    at += taken;
  }
  return text;
}

}  // namespace vswitch::ctl
