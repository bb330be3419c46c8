// SPDX-License-Identifier: Apache-2.0
#include "switchd/unixctl/registry.h"

#include <algorithm>
#include <utility>

#include "switchd/base/log.h"

namespace vswitch::unixctl {
namespace {

const log::Module kLog{"unixctl"};

std::string quoted(const std::string& name) {
  return '"' + name + '"';
}

std::vector<std::string> words(const Json& params) {
  std::vector<std::string> all;
  for (const Json& param : params) {
    if (!param.is_string()) throw Refused("command arguments must be strings");
    all.push_back(param.get<std::string>());
  }
  return all;
}

Json ended_line(std::string text) {
  if (!text.empty() && text.back() != '\n') text += '\n';
  return text;
}

}  // namespace

void Answer::operator()(std::string text) const {
  reply_(ended_line(std::move(text)));
}
void Answer::fail(std::string text) const {
  reply_.fail_v1(ended_line(std::move(text)));
}

Registry::Registry() {
  add("list-commands", "", 0, 0, [this](Args) { return list_commands("", 23); });
}

void Registry::add(const std::string& name, const std::string& usage, std::size_t min_args,
                   std::size_t max_args, Command command) {
  add_async(name, usage, min_args, max_args,
            [command = std::move(command)](Args args, const Answer& answer) { answer(command(args)); });
}

void Registry::add_async(const std::string& name, const std::string& usage, std::size_t min_args,
                         std::size_t max_args, AsyncCommand command) {
  commands_[name] = {usage, min_args, max_args, std::move(command)};
}

void Registry::serve(control::Dispatcher& dispatcher) {
  dispatcher.set_v1_fallback(
      [this](control::Client& session, const jsonrpc::Request& request, const control::Reply& reply) {
        const Answer answer(reply);
        try {
          log::dbg(kLog, "{}: {} {}", session.name(), request.method, jsonrpc::to_text(request.params));
          run(request.method, words(request.params), answer);
        } catch (const Refused& refused) {
          answer.fail(refused.what());
        }
      });
}

void Registry::run(const std::string& name, Args args, const Answer& answer) const {
  const auto found = commands_.find(name);
  if (found == commands_.end()) {
    return answer.fail(quoted(name) +
                       " is not a valid command (use \"list-commands\" to see a list of valid commands)");
  }
  const Entry& entry = found->second;
  if (args.size() < entry.min_args) {
    return answer.fail(quoted(name) + " command requires at least " + std::to_string(entry.min_args) +
                       " arguments");
  }
  if (args.size() > entry.max_args) {
    return answer.fail(quoted(name) + " command takes at most " + std::to_string(entry.max_args) +
                       " arguments");
  }
  try {
    entry.command(args, answer);
  } catch (const Refused& refused) {
    answer.fail(refused.what());
  } catch (const std::exception& error) {
    log::err(kLog, "{} failed: {}", name, error.what());
    answer.fail("internal error: " + std::string(error.what()));
  }
}

std::string Registry::list_commands(std::string_view prefix, std::size_t width) const {
  std::string text = "The available commands are:\n";
  for (const auto& [name, entry] : commands_) {
    if (!name.starts_with(prefix)) continue;
    const std::size_t padding = width - std::min(width, name.size());
    text += "  " + name + std::string(padding, ' ') + ' ' + entry.usage + '\n';
  }
  return text;
}

}  // namespace vswitch::unixctl
