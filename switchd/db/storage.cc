// SPDX-License-Identifier: Apache-2.0
#include "switchd/db/storage.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <system_error>

#include "schemas/json.h"
#include "schemas/ovsdb/notation.h"
#include "switchd/base/heap.h"
#include "switchd/base/limits.h"
#include "switchd/base/memory_reserve.h"
#include "switchd/db/db_log.h"
#include "switchd/db/transaction.h"

namespace vswitch::ovsdb {

namespace {

std::int64_t now_ms() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count();
}

// Writing.

/// Writes an object member by member: the tree of a Json would be destroyed right after use.
class ObjectText {
 public:
  explicit ObjectText(std::string& text) : text_(text), begin_(text.size()) {}
  /// Returns the text to which the value is to be appended.
  std::string& member(const std::string& name) {
    text_ += text_.size() == begin_ ? '{' : ',';
    append_text(text_, name);
    text_ += ':';
    return text_;
  }
  bool empty() const { return text_.size() == begin_; }
  void end() { text_ += empty() ? "{}" : "}"; }

 private:
  std::string& text_;
  std::size_t begin_;
};

/// False if no column of the change is persistent; then nothing is appended.
bool append_modified(std::string& text, const RowChange& change) {
  ObjectText columns(text);
  for (const std::size_t at : change.columns) {
    const ColumnSchema& column = change.after->schema().columns[at];
    if (!column.persistent) continue;
    const Datum& after = (*change.after)[at];
    append_text(columns.member(column.name),
                column.type.is_composite() ? difference((*change.before)[at], after) : after, column.type);
  }
  if (columns.empty()) return false;
  columns.end();
  return true;
}

void append_inserted(std::string& text, const Row& row) {
  ObjectText columns(text);
  for (const ColumnSchema& column : row.schema().columns) {
    const bool declared = column.index >= TableSchema::kDeclared;
    const Datum& datum = row[column.index];
    if (declared && column.persistent && datum != column.initial)
      append_text(columns.member(column.name), datum, column.type);
  }
  columns.end();
}

bool append_change(std::string& text, const RowChange& change) {
  if (change.modified()) return append_modified(text, change);
  if (change.deleted()) {
    text += "null";
  } else {
    append_inserted(text, *change.after);
  }
  return true;
}

/// One value given to many rows is one object in memory, but is written for each of them.
void check_size(const std::string& record) {
  if (record.size() <= limits::kRecordBytes) return;
  throw Error("resources exhausted", "the changes of this transaction exceed " +
                                         limits::mebibytes(limits::kRecordBytes) +
                                         " in the database file; split it");
}

/// The record of a commit, empty if nothing persistent changed.
std::string record_of(const Changes& changes) {
  std::string text;
  ObjectText record(text);
  for (const TableChanges& table : changes.tables) {
    const std::size_t before = text.size();
    bool any = false;
    ObjectText rows(record.member(table.schema->name));
    for (const RowChange& change : table.rows) {
      const std::size_t begin = text.size();
      const bool told = append_change(rows.member(change.uuid.to_string()), change);
      if (!told) text.resize(begin);
      any = any || told;
      check_size(text);
    }
    rows.end();
    if (!any) text.resize(before);
  }
  if (record.empty()) return text;
  record.member("_date") += std::to_string(now_ms());
  record.member("_is_diff") += "true";
  if (!changes.comment.empty()) append_text(record.member("_comment"), changes.comment);
  record.end();
  return text;
}

/// The bytes of a file that is visible only once it is on disk.
std::string with_mark(std::string bytes) {
  const std::uint64_t end = bytes.size();
  return std::move(bytes) + log_mark(end);
}

// Reading.

/// Rows as recorded in the log, by table.
using Rows = std::vector<std::unordered_map<Uuid, Row>>;

void replay_row(const Json& columns, bool is_diff, bool existed, Row& row) {
  for (const auto& [name, json] : columns.items()) {
    const ColumnSchema* column = row.schema().find(name);
    if (!column) throw std::runtime_error("column " + name + " is not in the schema");
    const Datum datum = datum_from_json_any_size(json, column->type);
    const bool diff = is_diff && existed && column->type.is_composite();
    row.set(column->index, diff ? with_difference(row[column->index], datum) : datum);
  }
}

void replay_table(const Json& changes, bool is_diff, const TableSchema& schema,
                  std::unordered_map<Uuid, Row>& rows) {
  for (const auto& [text, columns] : changes.items()) {
    const auto uuid = Uuid::parse(text);
    if (!uuid) throw std::runtime_error("\"" + text + "\" is not a UUID");
    if (columns.is_null()) {
      rows.erase(*uuid);
      continue;
    }
    if (!columns.is_object()) throw std::runtime_error("row " + text + " is not an object");
    const auto [at, inserted] = rows.try_emplace(*uuid, schema, *uuid);
    replay_row(columns, is_diff, !inserted, at->second);
  }
}

void replay(const Json& record, const DatabaseSchema& schema, Rows& rows) {
  if (!record.is_object()) throw std::runtime_error("the record is not an object");
  const bool is_diff = record.value("_is_diff", false);
  for (const auto& [name, changes] : record.items()) {
    if (name.starts_with('_')) continue;
    const TableSchema* table = schema.find(name);
    if (!table || !changes.is_object()) throw std::runtime_error("table " + name + " is not in the schema");
    replay_table(changes, is_diff, *table, rows[table->index]);
  }
}

Rows replay_all(const LogContents& log, const DatabaseSchema& schema) {
  Rows rows(schema.tables.size());
  for (std::size_t i = 1; i < log.records.size(); ++i) {
    try {
      replay(log.records[i], schema, rows);
    } catch (const std::exception& error) {
      throw std::runtime_error("record " + std::to_string(i) + " at byte " + std::to_string(log.offsets[i]) +
                               ": " + error.what());
    }
  }
  return rows;
}

/// Columns of a table in the file's schema, and their counterparts in ours: null if there is none.
using KnownColumns = std::vector<const ColumnSchema*>;

KnownColumns known_columns(const TableSchema& from, const TableSchema& to) {
  KnownColumns known;
  for (const ColumnSchema& column : from.columns) known.push_back(to.find(column.name));
  return known;
}

/// Copies what both schemas have. Columns left out that are not empty are named in `left_out`.
void convert_row(const Row& from, Row& to, const KnownColumns& known_as, std::vector<std::string>& left_out) {
  for (const ColumnSchema& column : from.schema().columns) {
    if (column.index < TableSchema::kDeclared) continue;
    const Datum& datum = from[column.index];
    const ColumnSchema* known = known_as[column.index];
    if (datum == (known ? known->initial : column.initial)) continue;
    const std::string name = from.schema().name + "." + column.name;
    if (!known) {
      left_out.push_back(name);
      continue;
    }
    try {
      check_type(datum, known->type);
    } catch (const Error& error) {
      throw std::runtime_error(name + " of row " + from.uuid().to_string() + ": " + error.what());
    }
    to.set(known->index, datum);
  }
}

/// Through a transaction, so that references, indexes and limits are checked and counted.
void fill(Database& database, const DatabaseSchema& from, const Rows& rows,
          std::vector<std::string>& left_out) {
  Transaction transaction(database);
  for (const TableSchema& table : from.tables) {
    const TableSchema* known = database.schema().find(table.name);
    if (!known && !rows[table.index].empty()) left_out.push_back(table.name);
    if (!known) continue;
    const KnownColumns columns = known_columns(table, *known);
    for (const auto& [uuid, row] : rows[table.index])
      convert_row(row, transaction.insert_row(known->index, uuid), columns, left_out);
  }
  if (const auto error = transaction.commit()) throw std::runtime_error(error->what());
}

bool same_but_checksum(DatabaseSchema a, const DatabaseSchema& b) {
  a.cksum = b.cksum;
  return a == b;
}

std::string place_of(const LogContents& contents) {
  return contents.problem + " at byte " + std::to_string(contents.end);
}

/// What to do about a file that is damaged: the operator decides, because it costs changes.
std::string remedy(const std::string& path, const LogContents& contents) {
  if (contents.records.empty()) return "restore a backup";
  const std::string end = std::to_string(contents.end);
  return "restore a backup, or keep a copy and give up everything from byte " + end + " on: truncate -s " +
         end + " " + path;
}

/// Throws if the file cannot be used as far as its end, or up to a torn tail.
LogContents read_log(const LogFile& log) {
  const std::string bytes = log.read();
  LogContents contents = parse_log(bytes);
  if (contents.records.empty() && contents.behind == 0 && !is_log(bytes))
    throw std::runtime_error(log.path() + " is not an OVSDB standalone database");
  if (!contents.damaged && !contents.records.empty()) return contents;
  const std::string behind =
      contents.behind == 0 ? "" : ", followed by " + std::to_string(contents.behind) + " more records";
  throw std::runtime_error(log.path() + ": " + place_of(contents) + behind +
                           ": the file is damaged, not only torn by a crash, and is left unchanged; " +
                           remedy(log.path(), contents));
}

/// Cuts off a torn tail, and keeps a copy of it.
void cut_torn_tail(LogFile& log, const LogContents& contents, std::vector<std::string>& warnings) {
  if (contents.end == contents.size) return log.truncate(contents.end);
  const std::string copy = log.cut(contents.end);
  const std::string complete =
      contents.behind == 0 ? ""
                           : " (" + std::to_string(contents.behind) + " complete records are among them)";
  warnings.push_back(log.path() + ": " + place_of(contents) + ": no mark of a sync covers the last " +
                     std::to_string(contents.size - contents.end) + " bytes" + complete +
                     ", as if power failed while they were written; they are cut off and kept in " + copy);
}

/// Keeps the file under another name as it was before a conversion, by a hard link.
std::string keep_backup(const std::string& path, const DatabaseSchema& schema) {
  const std::string base = path + ".backup" + (schema.version.empty() ? "" : "-" + schema.version);
  for (int i = 0;; ++i) {
    std::string name = i == 0 ? base : base + "." + std::to_string(i);
    if (::link(path.c_str(), name.c_str()) == 0) return name;
    if (errno != EEXIST)
      throw std::system_error(errno, std::generic_category(), "cannot keep a backup as " + name);
  }
}

std::string joined(std::vector<std::string> words) {
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

/// An empty file, as a package or `touch` leaves it, counts as missing.
bool is_missing(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) < 0) return errno == ENOENT;
  return S_ISREG(status.st_mode) && status.st_size == 0;
}

/// Follows symbolic links, so that a rename replaces the file and not the link.
std::string real_path(const std::string& path) {
  return std::filesystem::weakly_canonical(path).string();
}

}  // namespace

std::string file_contents(const Database& database) {
  std::string text;
  ObjectText record(text);
  record.member("_date") += std::to_string(now_ms());
  append_text(record.member("_comment"), std::string("compacting database"));
  bool empty = true;
  for (const TableSchema& schema : database.schema().tables) {
    const Table& table = database.table(schema.index);
    if (table.size() == 0) continue;
    ObjectText rows(record.member(schema.name));
    for (const Row& row : table) append_inserted(rows.member(row.uuid().to_string()), row);
    rows.end();
    empty = false;
  }
  record.end();
  const std::string schema = log_record(database.schema().to_json().dump());
  return with_mark(empty ? schema : schema + log_record(std::move(text)));
}

Storage::Storage(Descriptor lock, LogFile log) : lock_(std::move(lock)), log_(std::move(log)) {}

std::unique_ptr<Storage> Storage::open(const std::string& given_path, Database& database,
                                       std::vector<std::string>& warnings) {
  const std::string path = real_path(given_path);
  Descriptor lock = lock_log(path);
  ::unlink(LogFile::temporary_name(path).c_str());  // left by a writer that crashed: the lock is ours now
  if (is_missing(path)) LogFile::create(path, with_mark(log_record(database.schema().to_json().dump())));
  std::unique_ptr<Storage> storage(new Storage(std::move(lock), LogFile(path)));
  const LogContents contents = read_log(storage->log_);
  try {
    const DatabaseSchema written = DatabaseSchema::parse(contents.records.front());
    if (written.name != database.schema().name) {
      throw std::runtime_error("it holds a database " + written.name + ", not " + database.schema().name);
    }
    const bool same = same_but_checksum(written, database.schema());
    const DatabaseSchema& schema = same ? database.schema() : written;
    std::vector<std::string> left_out;
    fill(database, schema, replay_all(contents, schema), left_out);
    cut_torn_tail(storage->log_, contents, warnings);  // only now: a file that is refused stays as it is
    if (same && !contents.ends_marked) storage->log_.adopt();
    if (!same) {
      const std::string backup = keep_backup(path, written);
      storage->compact(database);
      warnings.push_back(path + ": converted from schema version " + written.version + " to " +
                         database.schema().version + "; the original is kept as " + backup +
                         (left_out.empty() ? "" : "; unknown columns left out: " + joined(left_out)));
    }
  } catch (const std::exception& error) {
    throw std::runtime_error("cannot use " + path + ": " + error.what());
  }
  storage->compact_if_large(database);
  return storage;
}

bool Storage::append(const Changes& changes) {
  std::string record = record_of(changes);
  if (record.empty()) return false;
  try {
    log_.append(log_record(std::move(record)));
    write_trouble_.over();
    return true;
  } catch (const std::system_error& error) {
    if (write_trouble_.is_new(error.code())) {
      log::err(kLog,
               "{}: the transaction is refused and changes nothing, and so will be the next ones until this "
               "works again",
               error.what());
    }
    throw Error("I/O error", error.what());
  }
}

void Storage::synced() {
  sync_trouble_.over();
  log_.mark_synced();
}

void Storage::sync_failed(std::error_code error) {
  if (!sync_trouble_.is_new(error)) return;
  log::err(
      kLog,
      "cannot sync {}: {}: the kernel may have dropped what it could not write, so the whole database is "
      "written to a new file in its place; check the disk",
      log_.path(), error.message());
}

void Storage::compact(const Database& database) {
  replace(file_contents(database));
  heap::trim();  // as ovsdb-server does at this moment
}

void Storage::replace(const std::string& bytes) {
  log_.replace(bytes);
  compact_at_ = worthwhile_for(bytes);
}

std::uint64_t Storage::worthwhile_for(const std::string& contents) {
  return std::max(kCompactFloor, kCompactFactor * contents.size());
}

void Storage::compact_if_large(const Database& database) {
  if (log_.size() < compact_at_) return;
  try {
    const std::string contents = file_contents(database);
    compact_at_ = worthwhile_for(contents);
    if (log_.size() >= compact_at_) replace(contents);
  } catch (const std::exception& error) {
    memory::refill_reserve();
    compact_at_ = log_.size() + kCompactFloor;
    warnings_.push_back("compaction failed; the old file stays in use: " + std::string(error.what()));
  }
}

}  // namespace vswitch::ovsdb
