// SPDX-License-Identifier: Apache-2.0
#include "switchd/api/revision.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <stdexcept>

#include "switchd/api/errors.h"

namespace vswitch::api {
namespace {

constexpr std::size_t kRevisionBytes = 16;

/// Columns that are not settings of the row itself: what the switch fills, and rows that have revisions, or
/// whose contents are added by hand.
const std::map<std::string, std::set<std::string>, std::less<>> kFilled = {
    {"Open_vSwitch",
     {"next_cfg", "cur_cfg", "ovs_version", "db_version", "system_type", "system_version", "dpdk_initialized",
      "dpdk_version", "datapath_types", "iface_types"}},
    {"Bridge", {"datapath_version"}},
    {"Interface", {"error", "ofport", "cfm_flap_count"}},
    {"Mirror", {"origin"}},
};
const std::map<std::string, std::set<std::string>, std::less<>> kRows = {
    {"Bridge", {"ports", "mirrors"}},
    {"Port", {"interfaces"}},
    {"Mirror", {"endpoints"}},
};

bool lists(const std::map<std::string, std::set<std::string>, std::less<>>& columns, const std::string& table,
           const std::string& column) {
  const auto found = columns.find(table);
  return found != columns.end() && found->second.contains(column);
}

/// With the length in front, so that no two lists of texts have the same sum.
void add_text(std::string& text, const std::string& part) {
  text += std::to_string(part.size()) + ':' + part;
}

/// Every column that does not have its default.
std::string settings_text(const Row& row) {
  std::string text = row.schema().name + '\n';
  for (const ovsdb::ColumnSchema& column : row.schema().columns) {
    const ovsdb::Datum& datum = row[column.index];
    if (column.index < ovsdb::TableSchema::kDeclared || !column.persistent || datum == column.initial)
      continue;
    if (is_filled(row.schema().name, column.name) || lists(kRows, row.schema().name, column.name)) continue;
    text += column.name + ' ' + std::to_string(datum.size()) + ' ';
    for (const ovsdb::Atom& atom : datum.keys()) add_text(text, ovsdb::to_text(atom));
    for (const ovsdb::Atom& atom : datum.values()) add_text(text, ovsdb::to_text(atom));
    text += '\n';
  }
  return text;
}

std::string digest(const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  if (EVP_Digest(text.data(), text.size(), bytes.data(), nullptr, EVP_sha256(), nullptr) != 1)
    throw std::runtime_error("OpenSSL offers no SHA-256, which revisions need: check openssl.cnf");
  constexpr const char* kDigits = "0123456789abcdef";
  std::string hex;
  for (std::size_t i = 0; i < kRevisionBytes; ++i) {
    hex += kDigits[bytes[i] >> 4];
    hex += kDigits[bytes[i] & 15];
  }
  return hex;
}

/// The row with the rows of `table` to which its `column` refers, regardless of their UUIDs.
std::string revision_with(const Database& database, const Row& row, const char* column, const char* table) {
  std::vector<std::string> parts;
  for (const ovsdb::Uuid& uuid : row.uuids(column)) {
    if (const Row* part = database.find(table, uuid)) parts.push_back(settings_text(*part));
  }
  std::sort(parts.begin(), parts.end());
  std::string text = row.uuid().to_string() + settings_text(row);
  for (const std::string& part : parts) add_text(text, part);
  return digest(text);
}

}  // namespace

bool is_filled(const std::string& table, const std::string& column) {
  return lists(kFilled, table, column);
}

std::string revision_of_bridge(const Row& bridge) {
  return digest(bridge.uuid().to_string() + settings_text(bridge));
}

std::string revision_of_port(const Database& database, const Row& port) {
  return revision_with(database, port, "interfaces", "Interface");
}

std::string revision_of_mirror(const Database& database, const Row& mirror) {
  return revision_with(database, mirror, "endpoints", "Mirror_Endpoint");
}

void check_revision(const Json& params, const std::optional<std::string>& present, const std::string& what,
                    const std::string& reader) {
  if (!params.contains("if_revision") || params["if_revision"] == present.value_or("")) return;
  throw changed_meanwhile(
      params["if_revision"], present ? Json(*present) : Json(),
      present
          ? what + " has revision " + *present +
                ": somebody has changed it since if_revision was read; read it again with " + reader +
                " and repeat the change"
          : what + " does not exist (any more), so it has no revision: leave out if_revision to create it");
}

}  // namespace vswitch::api
