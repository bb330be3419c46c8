// SPDX-License-Identifier: Apache-2.0
// What a document changes: computed and checked against the rows, written in one transaction, and told.
//
// An item of the document gets exactly the settings that the document gives it. What the document does not
// have stays, or is removed if `prune` is given; what a document cannot express is never removed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "switchd/db/transaction.h"
#include "switchd/document/present.h"

namespace vswitch::document {

enum class Operation : std::uint8_t { add, change, remove };

/// Of a bridge, port or session.
template <class Settings>
struct Step {
  Operation operation = Operation::add;
  std::string bridge, name;
  std::optional<ovsdb::Uuid> row;  ///< unless it is to be added
  Settings settings;
  Json changes = Json::array();  ///< as api::differences() lists them
};

class Plan {
 public:
  /// Checked params of system.apply. Throws jsonrpc::Error about the first thing that is wrong: nothing is
  /// written before write().
  Plan(const Database& database, const Json& params);

  bool empty() const;
  /// `origin` is for sessions that are created now.
  void write(ovsdb::Transaction& transaction, const ovsdb::Datum& origin) const;
  /// The result of system.apply, with the states that have been reached.
  Json result(const Database& database) const;

 private:
  using Bridges = std::vector<Step<model::Bridge>>;
  using Ports = std::vector<Step<api::PortSettings>>;
  using Mirrors = std::vector<Step<model::MirrorSettings>>;

  void check_size(const Json& document) const;
  void take_config(const Json& config);
  void find_removed(const Json& bridges);
  void remove_bridge(const std::string& name, const BridgeItem& item);
  template <class Item, class Steps>
  void remove_items(const std::string& bridge, const char* list, const std::map<std::string, Item>& items,
                    const Json& wanted, Steps& steps);
  void take_bridge(const std::string& name, const Json& wanted);
  void take_port(const std::string& bridge, const std::string& name, const Json& wanted);
  void take_mirror(const std::string& bridge, const std::string& name, const Json& wanted);
  void check_names() const;
  void check_tunnels() const;
  void check_mirrors(const std::string& bridge) const;
  void check_recorders() const;
  std::string place_of(const std::string& port) const;

  ovsdb::Uuid write_bridges(ovsdb::Transaction& transaction, std::map<std::string, ovsdb::Uuid>& rows) const;
  void write_ports(ovsdb::Transaction& transaction, const std::map<std::string, ovsdb::Uuid>& rows) const;
  void write_mirrors(ovsdb::Transaction& transaction, const std::map<std::string, ovsdb::Uuid>& rows,
                     const ovsdb::Datum& origin) const;

  const Database& database_;
  const bool prune_, dry_run_;
  const std::optional<std::string> only_bridge_;
  const Present present_;
  std::map<std::string, std::string> present_places_;  ///< port -> bridge
  std::map<std::string, std::string> places_;          ///< the same afterwards
  Json config_ = Json::object();                       ///< afterwards
  Json config_changes_ = Json::array();
  Bridges bridges_;
  Ports ports_;
  Mirrors mirrors_;
  std::vector<Remark> kept_;
};

}  // namespace vswitch::document
