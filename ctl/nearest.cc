// SPDX-License-Identifier: Apache-2.0
#include "ctl/nearest.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace vswitch::ctl {
namespace {

/// The distance of Levenshtein, a row at a time.
std::size_t distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < to.size(); ++j) {
      const std::size_t replaced = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

using WordPairs = std::vector<std::pair<std::string_view, std::string_view>>;

const WordPairs kForeignVerbs = {
    {"create", "add"},   {"new", "add"},     {"delete", "del"},   {"remove", "del"},
    {"rm", "del"},       {"destroy", "del"}, {"get", "show"},     {"view", "show"},
    {"display", "show"}, {"ls", "list"},     {"modify", "set"},   {"change", "set"},
    {"update", "set"},   {"edit", "set"},    {"start", "enable"}, {"stop", "disable"}};
const WordPairs kForeignNouns = {{"bridge", "br"},        {"bridges", "br"},     {"interface", "port"},
                                 {"iface", "port"},       {"session", "mirror"}, {"sessions", "mirrors"},
                                 {"interfaces", "ports"}, {"span", "mirror"},    {"monitor", "mirror"}};
const WordPairs kForeignOptions = {
    {"--vlan", "--tag"},       {"--vlan", "--source-vlan"}, {"--access", "--tag"},
    {"--format", "--json"},    {"--interface", "--source"}, {"--port", "--source"},
    {"--to", "--output"},      {"--ip", "--endpoint"},      {"--remote-ip", "--endpoint"},
    {"--length", "--snaplen"}, {"--follow", "--watch"},     {"--mtu-request", "--mtu"},
    {"--trunk", "--trunks"}};

std::string_view word_for(const WordPairs& words, std::string_view typed) {
  const auto at = std::ranges::find(words, typed, &WordPairs::value_type::first);
  return at == words.end() ? typed : at->second;
}

}  // namespace

std::string in_our_words(std::string_view typed) {
  std::string word(typed);
  for (char& letter : word)
    letter = static_cast<char>(letter >= 'A' && letter <= 'Z' ? letter - 'A' + 'a' : letter);
  const std::size_t dash = word.find('-');
  if (dash == std::string::npos) return word;
  const std::string verb(word_for(kForeignVerbs, std::string_view(word).substr(0, dash)));
  const std::string noun(word_for(kForeignNouns, std::string_view(word).substr(dash + 1)));
  if (verb == "list" && (noun == "port" || noun == "mirror")) return verb + '-' + noun + 's';
  if (verb != "list" && (noun == "ports" || noun == "mirrors"))
    return verb + '-' + noun.substr(0, noun.size() - 1);
  return verb + '-' + noun;
}

std::optional<std::string> option_in_our_words(std::string_view typed,
                                               const std::vector<std::string>& options) {
  for (const auto& [theirs, ours] : kForeignOptions) {
    if (theirs == typed && std::ranges::find(options, ours) != options.end()) return std::string(ours);
  }
  return std::nullopt;
}

std::optional<std::string> nearest(std::string_view typed, const std::vector<std::string>& names) {
  std::optional<std::string> best;
  const std::size_t dashes = std::min(typed.find_first_not_of('-'), typed.size());
  std::size_t least = (typed.size() - dashes) / 2 + 1;
  for (const std::string& name : names) {
    const std::size_t steps = distance(typed, name);
    if (steps >= least) continue;
    least = steps;
    best = name;
  }
  return best;
}

std::string did_you_mean(std::string_view typed, const std::vector<std::string>& names) {
  const auto name = nearest(typed, names);
  return name ? "; did you mean " + *name + "?" : "";
}

}  // namespace vswitch::ctl
