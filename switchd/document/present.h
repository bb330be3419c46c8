// SPDX-License-Identifier: Apache-2.0
// What the rows of the database are in a document, and what they have that a document cannot express.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "switchd/api/port_settings.h"
#include "switchd/db/database.h"
#include "switchd/model/bridge.h"
#include "switchd/model/mirror.h"

namespace vswitch::document {

using ovsdb::Database;
using ovsdb::Row;

/// A member of a document, and the row behind it.
template <class Settings>
struct Item {
  const Row* row = nullptr;  ///< valid until the next commit
  Settings settings;
  Json text;             ///< the normal form
  std::string obstacle;  ///< not empty: why the document does not have it, as a sentence
  bool alien = false;    ///< with an obstacle: nor can the session API change it
};
using PortItem = Item<api::PortSettings>;
using MirrorItem = Item<model::MirrorSettings>;

struct BridgeItem : Item<model::Bridge> {
  std::map<std::string, PortItem> ports;
  std::map<std::string, MirrorItem> mirrors;
};

/// Something that is left out, or not touched; the path is that of the member: bridges.br0.ports.t1.
struct Remark {
  std::string path;
  std::string sentence;
};
Json to_json(const std::vector<Remark>& remarks);

struct Present {
  Json config = Json::object();
  std::map<std::string, BridgeItem> bridges;
  std::vector<Remark> left_out;
};

/// Every bridge, or one. It must exist.
Present read_present(const Database& database, const std::optional<std::string>& bridge = std::nullopt);

/// The document, without what has an obstacle. With one bridge it has no config.
Json document_of(const Present& present, bool whole_switch);

/// "bridges.br0.ports.t1", and ports["eth0.100"] for a name with a dot.
std::string path_of(const std::string& bridge);
std::string path_of(const std::string& bridge, const char* list, const std::string& name);

/// What is wrong with a name as the key of a bridge, port or session, as a sentence; empty if nothing.
std::string bridge_name_trouble(const std::string& name);
std::string port_name_trouble(const std::string& name, const std::string& type);
std::string session_name_trouble(const std::string& name);

}  // namespace vswitch::document
