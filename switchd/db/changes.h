// SPDX-License-Identifier: Apache-2.0
// What a commit changed: computed once, then read by the file, the monitors and the switch.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "switchd/db/row.h"

namespace vswitch::ovsdb {

/// One row: inserted (no before), deleted (no after) or modified (both, and which columns differ).
struct RowChange {
  Uuid uuid;
  RowPtr before;
  RowPtr after;
  std::vector<std::size_t> columns;  ///< of a modified row: changed columns, ascending, _version left out

  bool inserted() const { return !before; }
  bool deleted() const { return !after; }
  bool modified() const { return before && after; }
  /// Inserted, deleted, or modified in this column.
  bool touches(std::string_view column) const;
};

struct TableChanges {
  const TableSchema* schema = nullptr;
  std::vector<RowChange> rows;
};

/// Tables without a change are left out, and so are rows that changed and changed back.
struct Changes {
  std::vector<TableChanges> tables;
  std::string comment;
  std::string by;  ///< who made the commit (Database::By); empty: the daemon itself

  bool empty() const { return tables.empty(); }
  /// The changes of one table, an empty list if there are none.
  const std::vector<RowChange>& of(std::string_view table) const;
};

}  // namespace vswitch::ovsdb
