// SPDX-License-Identifier: Apache-2.0
#include "switchd/db/changes.h"

#include <algorithm>

namespace vswitch::ovsdb {

bool RowChange::touches(std::string_view column) const {
  if (!before || !after) return true;
  return std::binary_search(columns.begin(), columns.end(), before->schema().at(column));
}

const std::vector<RowChange>& Changes::of(std::string_view table) const {
  static const std::vector<RowChange> none;
  for (const TableChanges& changed : tables) {
    if (changed.schema->name == table) return changed.rows;
  }
  return none;
}

}  // namespace vswitch::ovsdb
