// SPDX-License-Identifier: Apache-2.0
#include "switchd/db/database.h"

#include <algorithm>

#include "switchd/base/memory_reserve.h"
#include "switchd/db/db_log.h"
#include "switchd/db/integrity.h"
#include "switchd/db/storage.h"

namespace vswitch::ovsdb {

namespace {}  // namespace

Table::Table(const TableSchema& schema) : schema_(&schema), indexes_(schema.indexes.size()) {}

const Row* Table::find(const Uuid& uuid) const {
  const auto found = slots_.find(uuid);
  return found == slots_.end() ? nullptr : found->second.row.get();
}

RowPtr Table::share(const Uuid& uuid) const {
  const auto found = slots_.find(uuid);
  return found == slots_.end() ? nullptr : found->second.row;
}

const Row* Table::find(std::string_view column, std::string_view text) const {
  const std::size_t at = schema_->at(column);
  const std::string wanted(text);
  const auto matches = [&](const Row& row) {
    const std::string* value = row[at].first<std::string>();
    return row[at].size() == 1 && value && *value == wanted;
  };
  for (std::size_t index = 0; index < indexes_.size(); ++index) {
    if (schema_->indexes[index] != std::vector<std::size_t>{at}) continue;
    Row probe(*schema_, Uuid());
    probe.set(at, Datum::of(wanted));
    const std::vector<Uuid> found = with_equal_index(index, probe);
    return found.empty() ? nullptr : find(found.front());
  }
  const auto found = std::find_if(begin(), end(), matches);
  return found == end() ? nullptr : &*found;
}

std::size_t Table::references(const Uuid& uuid) const {
  const auto found = slots_.find(uuid);
  return found == slots_.end() ? 0 : found->second.references;
}

void Table::add_references(const Uuid& uuid, std::ptrdiff_t delta) {
  const auto found = slots_.find(uuid);
  if (found != slots_.end()) found->second.references += static_cast<std::size_t>(delta);
}

void Table::replace(const Uuid& uuid, RowPtr row) {
  const auto found = slots_.find(uuid);
  for (std::size_t index = 0; index < indexes_.size(); ++index) {
    auto& rows = indexes_[index];
    if (found != slots_.end()) {
      const auto [first, last] = rows.equal_range(index_hash(index, *found->second.row));
      rows.erase(std::find_if(first, last, [&uuid](const auto& entry) { return entry.second == uuid; }));
    }
    if (row) rows.emplace(index_hash(index, *row), uuid);
  }
  if (!row) {
    if (found != slots_.end()) slots_.erase(found);
  } else if (found != slots_.end()) {
    found->second.row = std::move(row);
  } else {
    slots_.emplace(uuid, Slot{std::move(row)});
  }
}

std::size_t Table::index_hash(std::size_t index, const Row& row) const {
  std::size_t sum = 0;
  for (const std::size_t column : schema_->indexes[index]) sum = sum * 31 + row[column].hash();
  return sum;
}

std::vector<Uuid> Table::with_equal_index(std::size_t index, const Row& row) const {
  std::vector<Uuid> result;
  const auto [first, last] = indexes_[index].equal_range(index_hash(index, row));
  for (auto at = first; at != last; ++at) {
    const Row& other = *find(at->second);
    const auto& columns = schema_->indexes[index];
    const auto same = [&](std::size_t column) { return row[column] == other[column]; };
    if (std::all_of(columns.begin(), columns.end(), same)) result.push_back(at->second);
  }
  return result;
}

Database::Database(DatabaseSchema schema)
    : schema_(std::move(schema)), has_circle_(vswitch::ovsdb::has_circle(schema_)) {
  tables_.reserve(schema_.tables.size());
  for (const TableSchema& table : schema_.tables) tables_.emplace_back(table);
}

Database::~Database() = default;

const Table& Database::table(std::string_view name) const {
  return tables_[schema_.at(name).index];
}

const Row* Database::find(std::string_view table_name, const Uuid& uuid) const {
  return table(table_name).find(uuid);
}

Database::ListenerId Database::on_commit(Listener listener) {
  listeners_.emplace_back(next_listener_, std::move(listener));
  return next_listener_++;
}

void Database::remove_listener(ListenerId id) {
  // Only cleared while the list is being walked: a listener may remove itself or another one.
  const auto found = std::find_if(listeners_.begin(), listeners_.end(),
                                  [id](const auto& entry) { return entry.first == id; });
  if (found != listeners_.end()) found->second = nullptr;
  if (!telling_) std::erase_if(listeners_, [](const auto& entry) { return !entry.second; });
}

// The commit is done: a listener that fails must not keep it from the others.
void Database::tell(const Listener& listener, const Changes& changes) {
  try {
    listener(changes);
  } catch (const std::exception& error) {
    memory::refill_reserve();
    log::err(kLog, "a commit could not be passed on: {}", error.what());
  }
}

void Database::notify(std::shared_ptr<const Changes> changes) {
  untold_.push_back(std::move(changes));
  if (telling_) return;
  telling_ = true;
  while (!untold_.empty()) {
    const std::shared_ptr<const Changes> told = std::move(untold_.front());
    untold_.pop_front();
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      const Listener listener = listeners_[i].second;  // a copy: the list may grow, or lose it, meanwhile
      if (listener) tell(listener, *told);
    }
  }
  telling_ = false;
  std::erase_if(listeners_, [](const auto& entry) { return !entry.second; });
}

std::unique_ptr<Database> Database::open(const std::string& path, DatabaseSchema schema,
                                         std::vector<std::string>& warnings) {
  auto database = std::make_unique<Database>(std::move(schema));
  database->storage_ = Storage::open(path, *database, warnings);
  return database;
}

void Database::store(const Changes& changes) {
  if (!storage_ || !storage_->append(changes)) return;
  unsynced_ = true;
  if (on_unsynced_) on_unsynced_();
}

Database::DiskWait Database::begin_sync() {
  if (!std::exchange(unsynced_, false)) return nullptr;
  if (distrusted_) return [] { return std::make_error_code(std::errc::io_error); };
  return storage_->sync_job();
}

void Database::end_sync(std::error_code outcome) {
  if (!outcome) return storage_->synced();
  // The kernel may have discarded what it could not write, and reports an error only once.
  if (!std::exchange(distrusted_, true)) storage_->sync_failed(outcome);
  storage_->compact(*this);
  distrusted_ = false;
}

void Database::sync() {
  if (const DiskWait wait = begin_sync()) end_sync(wait());
}

void Database::compact() {
  if (storage_) storage_->compact(*this);
}

std::vector<std::string> Database::take_warnings() {
  return storage_ ? storage_->take_warnings() : std::vector<std::string>();
}

}  // namespace vswitch::ovsdb
