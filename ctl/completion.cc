// SPDX-License-Identifier: Apache-2.0
#include "ctl/completion.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "schemas/openrpc.h"

namespace vswitch::ctl {
namespace {

using Words = std::vector<std::string>;

/// The words before the one that is being typed, sorted out.
struct Line {
  const CLI::App* command = nullptr;
  bool is_help = false;
  Words arguments;                       ///< without options and their values
  const CLI::Option* waiting = nullptr;  ///< for its value
};

const CLI::App* command_called(const CLI::App& app, const std::string& name) {
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    if (command->get_name() == name) return command;
  }
  return nullptr;
}

const CLI::Option* option_called(const CLI::App& app, const CLI::App* command, const std::string& word) {
  for (const CLI::App* where : {command, &app}) {
    if (where == nullptr) continue;
    for (const CLI::Option* option : where->get_options()) {
      if (option->check_name(word) && !option->get_positional()) return option;
    }
  }
  return nullptr;
}

bool takes_value(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

Line sort_out(const CLI::App& app, const Words& words) {
  Line line;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (line.waiting != nullptr) {
      line.waiting = nullptr;
    } else if (word.size() > 1 && word.front() == '-') {
      const bool has_value = word.find('=') != std::string::npos;
      const CLI::Option* option = option_called(app, line.command, word.substr(0, word.find('=')));
      if (option != nullptr && takes_value(*option) && !has_value) line.waiting = option;
    } else if (line.command == nullptr && !line.is_help) {
      line.command = command_called(app, word);
      line.is_help = word == "help";
    } else {
      line.arguments.push_back(word);
    }
  }
  return line;
}

/// The values of a member that the contract enumerates, wherever it has one of this name.
void find_values(const Json& schema, const std::string& member, Words& values) {
  if (schema.is_object()) {
    if (const auto properties = schema.find("properties"); properties != schema.end()) {
      const auto found = properties->find(member);
      if (found != properties->end() && found->contains("enum")) {
        for (const Json& one : (*found)["enum"]) {
          const std::string value = one.is_string() ? one.get<std::string>() : "";
          if (!value.empty() && std::ranges::find(values, value) == values.end()) values.push_back(value);
        }
      }
    }
    // Params of a method are a list of names with schemas.
    if (schema.contains("schema") && schema.value("name", Json()) == member)
      find_values(Json{{"properties", {{member, schema["schema"]}}}}, member, values);
  }
  if (schema.is_structured()) {
    for (const Json& part : schema) find_values(part, member, values);
  }
}

std::string member_of(const CLI::Option& option) {
  std::string name = option.get_lnames().empty() ? option.get_name() : option.get_lnames().front();
  std::ranges::replace(name, '-', '_');
  return name;
}

/// "TEXT:{cut,fragment}" lists the values that CLI11 checks.
Words values_checked(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t from = type.find('{'), to = type.find('}');
  Words values;
  if (from == std::string::npos || to == std::string::npos) return values;
  std::string_view rest = std::string_view(type).substr(from + 1, to - from - 1);
  while (!rest.empty()) {
    const std::string_view value = rest.substr(0, rest.find(','));
    values.emplace_back(value);
    rest.remove_prefix(std::min(rest.size(), value.size() + 1));
  }
  return values;
}

Words with(Words words, std::initializer_list<const char*> more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Of options whose values are names. A list of names is a kind, whatever option it belongs to.
Words values_of(const CLI::Option& option, const Line& line, const Names& names) {
  const std::string bridge = line.arguments.empty() ? "" : line.arguments.front();
  static const std::map<std::string, const char*> kinds = {
      {"source", "source"}, {"output", "output"}, {"in_port", "port"}, {"pcap", "file"},
      {"bridge", "bridge"}, {"file", "file"},     {"write", "file"},   {"socket", "file"},
      {"rundir", "folder"}, {"peer", "any port"}};
  const std::string member = member_of(option);
  const auto kind = kinds.find(member);
  if (kind != kinds.end()) {
    const std::string_view what = kind->second;
    if (what == "file") return {":files"};
    if (what == "folder") return {":directories"};
    if (what == "bridge") return names.bridges();
    if (what == "source") return with(names.ports(bridge), {"all"});
    if (what == "output") return with(names.ports(bridge), {"none"});
    return names.ports(what == "port" ? bridge : "");
  }
  Words values = values_checked(option);
  if (values.empty()) find_values(openrpc::control().document(), member, values);
  return values;
}

Words names_for(const CLI::Option& argument, const Line& line, const Names& names) {
  const std::string_view command = line.command->get_name();
  const std::string what = argument.get_name();
  const std::string bridge = line.arguments.empty() ? "" : line.arguments.front();
  if (what == "bridge") return command == "add-br" ? Words() : names.bridges();
  if (what == "session") return command == "add-mirror" ? Words() : names.sessions(bridge);
  if (what == "port") return command == "add-port" ? names.devices() : names.ports("");
  if (what == "[bridge] port") {
    if (!line.arguments.empty()) return names.ports(bridge);
    Words both = names.ports("");
    for (const std::string& one : names.bridges()) both.push_back(one);
    return both;
  }
  if (what == "file") return {":files"};
  if (what == "area") return names.log_areas();
  if (what == "level") return {"off", "err", "warn", "info", "dbg"};
  return {};
}

Words arguments_of(const Line& line, const Names& names) {
  std::size_t position = 0;
  for (const CLI::Option* argument : line.command->get_options()) {
    if (!argument->get_positional()) continue;
    const auto most = static_cast<std::size_t>(std::max(argument->get_items_expected_max(), 1));
    if (line.arguments.size() < position + most) return names_for(*argument, line, names);
    position += most;
  }
  return {};
}

std::string described(const std::string& word, const std::string& what) {
  return what.empty() ? word : word + '\t' + what.substr(0, what.find('\n'));
}

Words commands_of(const CLI::App& app) {
  Words lines;
  for (const CLI::App* command : app.get_subcommands(nullptr))
    lines.push_back(described(command->get_name(), command->get_description()));
  lines.push_back(described("help", "show the arguments of a command"));
  return lines;
}

Words options_of(const CLI::App& app, const CLI::App* command) {
  Words lines;
  for (const CLI::App* where : {command, &app}) {
    if (where == nullptr) continue;
    for (const CLI::Option* option : where->get_options()) {
      if (option->get_lnames().empty() ||
          (command != nullptr && where == &app && option->get_lnames().front() == "help"))
        continue;
      lines.push_back(described("--" + option->get_lnames().front(), option->get_description()));
    }
  }
  return lines;
}

bool asks_for_files(const Words& lines) {
  return lines.size() == 1 && lines.front().starts_with(':');
}

}  // namespace

std::vector<std::string> complete(const CLI::App& app, const std::vector<std::string>& words,
                                  const Names& names) {
  const Line line = sort_out(app, words);
  std::string typed = words.empty() ? "" : words.back();
  std::string before;  // of a word that is an option with its value
  Words lines;
  const std::size_t equals = typed.find('=');
  if (line.waiting != nullptr) {
    lines = values_of(*line.waiting, line, names);
  } else if (typed.starts_with("--") && equals != std::string::npos) {
    const CLI::Option* option = option_called(app, line.command, typed.substr(0, equals));
    if (option == nullptr) return {};
    lines = values_of(*option, line, names);
    if (asks_for_files(lines)) return lines;
    before = typed.substr(0, equals + 1);
    typed.erase(0, equals + 1);
  } else if (typed.starts_with('-')) {
    lines = options_of(app, line.command);
  } else if (line.command == nullptr) {
    lines = commands_of(app);
  } else {
    lines = arguments_of(line, names);
  }
  if (asks_for_files(lines)) return lines;
  std::erase_if(lines, [&typed](const std::string& one) { return !one.starts_with(typed); });
  for (std::string& one : lines) one.insert(0, before);
  return lines;
}

}  // namespace vswitch::ctl
