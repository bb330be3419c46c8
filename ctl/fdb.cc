// SPDX-License-Identifier: Apache-2.0
// The command about learned addresses.
#include <algorithm>
#include <tuple>

#include "ctl/arguments.h"
#include "ctl/command.h"
#include "ctl/render.h"

namespace vswitch::ctl {
namespace {

Query declare_fdb(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "bridge", "bridge", "the bridge");
  auto flush = std::make_shared<bool>(false);
  app.add_flag("--flush", *flush, "forget all addresses instead of listing them");
  return [&app, params, flush] {
    const bool watches = app.count("--watch") != 0;
    std::vector<Call> calls;
    if (*flush) calls.push_back({.method = "fdb.flush", .params = *params, .once = watches});
    if (!*flush || watches) calls.push_back({"fdb.list", *params});
    return calls;
  };
}

std::string render_fdb(const Json& result) {
  if (result.contains("flushed")) return result["flushed"].dump() + " addresses forgotten\n";
  Table table({"PORT", "VLAN", "MAC", "AGE"});
  for (const Json& entry : result["entries"]) {
    table.add({entry["port"], entry["vlan"], entry["mac"], entry["age"].dump() + " s"});
  }
  return table.empty() ? "no addresses learned\n" : table.text();
}

}  // namespace

const std::vector<Command> kFdbCommands = {
    {"fdb", "list the addresses a bridge has learned, or forget them", "br0", declare_fdb, render_fdb,
     refresh<render_fdb>},
};

}  // namespace vswitch::ctl
