// SPDX-License-Identifier: Apache-2.0
#include "switchd/model/tables.h"

#include <array>

#include "switchd/model/bridge.h"
#include "switchd/model/interface.h"
#include "switchd/model/mirror.h"
#include "switchd/model/mirror_endpoint.h"
#include "switchd/model/port.h"

namespace vswitch::model {
namespace {

template <class T>
TableInfo table(std::string_view name, Columns<T> columns) {
  return {name, {columns.begin(), columns.end()}};
}

}  // namespace

Effect TableInfo::effect_of(std::string_view column) const {
  for (const ColumnInfo& one : columns) {
    if (one.name == column) return one.effect;
  }
  return Effect::none;
}

std::span<const TableInfo> tables() {
  static const std::array<TableInfo, 6> kTables = {
      table("Open_vSwitch", root_columns()), table("Bridge", bridge_columns()),
      table("Port", port_columns()),         table("Interface", interface_columns()),
      table("Mirror", mirror_columns()),     table("Mirror_Endpoint", mirror_endpoint_columns()),
  };
  return kTables;
}

}  // namespace vswitch::model
