// SPDX-License-Identifier: Apache-2.0
// The row types that the switch reads, with their columns.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "switchd/model/column.h"

namespace vswitch::model {

struct TableInfo {
  std::string_view name;
  std::vector<ColumnInfo> columns;

  /// Effect::none for a column that has no line in the table of its row type.
  Effect effect_of(std::string_view column) const;
};

/// Open_vSwitch, Bridge, Port, Interface, Mirror, Mirror_Endpoint.
std::span<const TableInfo> tables();

}  // namespace vswitch::model
