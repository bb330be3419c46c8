// SPDX-License-Identifier: Apache-2.0
// What a commit repairs and what it refuses: references, garbage, unique indexes, limits.
//
// Strong references are counted per row (Table::Slot). A commit walks only the columns that changed and keeps
// the difference of the counts beside the tables until it succeeds. Weak references are not counted: if rows
// disappear from a table with weak references to it, the tables that refer to it are searched once. Deleting
// a port among a thousand mirrors costs some ten microseconds, and there is no second structure to keep
// consistent.
#pragma once

#include <cstddef>
#include <unordered_map>
#include <vector>

#include "switchd/db/transaction.h"

namespace vswitch::ovsdb {

/// Tables that are not root can keep each other alive in a cycle: reference counting then does not find all
/// garbage, and finish_transaction() uses mark and sweep. The schema of the switch has no such cycle.
bool has_circle(const DatabaseSchema& schema);

/// Deletes weak references to rows that do not exist and unreferenced rows of tables that are not root, until
/// nothing changes; then checks, in this order, sizes, referential integrity, unique indexes and maxRows.
/// Throws Error on a violation (RFC 7047 section 3.2 and section 4.1.3: "referential integrity violation",
/// "constraint violation").
ReferenceDeltas finish_transaction(Transaction& transaction);

/// Adds to `deltas` the strong references that a row gains or loses from `before` to `after` (either may be
/// null).
void count_references(const Row* before, const Row* after, ReferenceDeltas& deltas);

}  // namespace vswitch::ovsdb
