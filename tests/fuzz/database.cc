// SPDX-License-Identifier: Apache-2.0
// Any bytes as a database file: what cannot be used is refused and left alone; what opens is the same
// database after it was converted, compacted or changed, and reopened.
#include "switchd/db/database.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string_view>

#include "schemas/json.h"
#include "switchd/db/log.h"

namespace {

using namespace vswitch;
using ovsdb::Database;

/// Small, so that an input of a few bytes reaches every kind of column. Two rooms for what a commit repairs:
/// garbage (Leaf is no root) and weak references.
constexpr std::string_view kSchema = R"({"name": "D", "version": "1.2.3", "tables": {
  "R": {"isRoot": true, "indexes": [["n"]], "columns": {
    "n": {"type": "string", "mutable": false},
    "i": {"type": {"key": {"type": "integer", "minInteger": 0, "maxInteger": 9}, "min": 0, "max": 3}},
    "r": {"type": {"key": "real", "min": 0, "max": "unlimited"}},
    "m": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
    "l": {"type": {"key": {"type": "uuid", "refTable": "L"}, "min": 0, "max": "unlimited"}},
    "w": {"type": {"key": {"type": "uuid", "refTable": "R", "refType": "weak"}, "min": 0, "max": 1}},
    "e": {"type": "integer", "ephemeral": true}}},
  "L": {"maxRows": 5, "columns": {
    "k": {"type": {"key": {"type": "string", "enum": ["set", ["a", "b"]]}}},
    "b": {"type": "boolean"},
    "u": {"type": "uuid"},
    "m": {"type": {"key": "integer", "value": {"type": "uuid", "refTable": "L"}, "min": 0, "max": "unlimited"}}}}
}})";

/// What a client might do to it; whether it is honoured depends on the contents.
constexpr std::string_view kChange = R"([
  {"op": "insert", "table": "L", "row": {"k": "a", "b": true}, "uuid-name": "leaf"},
  {"op": "mutate", "table": "R", "where": [["n", "!=", "x"]], "mutations": [
    ["m", "delete", ["set", ["a"]]], ["m", "insert", ["map", [["a", "1"], ["b", "é"]]]],
    ["r", "insert", ["set", [0.1, 1e300]]], ["l", "insert", ["named-uuid", "leaf"]]]},
  {"op": "update", "table": "R", "where": [], "row": {"i": ["set", [1, 2]], "e": 5}},
  {"op": "insert", "table": "R", "row": {"n": "x", "l": ["named-uuid", "leaf"]}}])";

void check(bool holds) {
  if (!holds) std::abort();
}

/// In memory where there is a file system for it: a run has a dozen writes and syncs.
class Directory {
 public:
  Directory() {
    const std::filesystem::path memory = "/dev/shm";
    path_ = (is_directory(memory) ? memory : std::filesystem::temp_directory_path()) / "vswitch-fuzz-XXXXXX";
    check(::mkdtemp(path_.data()) != nullptr);
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  void clear() const {
    for (const auto& entry : std::filesystem::directory_iterator(path_)) std::filesystem::remove(entry);
  }
  std::string file() const { return path_ + "/db"; }

 private:
  std::string path_;
};

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// An input is a file when it begins as one. Otherwise each line is the JSON of a record, whose header is
/// made here, as no fuzzer guesses a SHA-1; an empty first line stands for the schema above.
std::string file_of(std::string_view input) {
  if (input.starts_with("OVSDB")) return std::string(input);
  std::string bytes;
  while (!input.empty()) {
    const std::size_t end = std::min(input.find('\n'), input.size());
    const std::string_view line = bytes.empty() && end == 0 ? kSchema : input.substr(0, end);
    const Json record = Json::parse(line, nullptr, false);
    if (!record.is_discarded()) bytes += ovsdb::log_record(record.dump());
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  return bytes;
}

std::unique_ptr<Database> open(const std::string& path) {
  static const auto schema = ovsdb::DatabaseSchema::parse_text(kSchema);
  std::vector<std::string> warnings;
  try {
    return Database::open(path, schema, warnings);
  } catch (const std::runtime_error&) {
    return nullptr;
  }
}

using Contents = std::map<std::pair<std::string, ovsdb::Uuid>, std::vector<ovsdb::Datum>>;

/// Of the columns that are in the file.
Contents contents(const Database& database) {
  Contents rows;
  for (const ovsdb::TableSchema& table : database.schema().tables) {
    for (const ovsdb::Row& row : database.table(table.index)) {
      for (const ovsdb::ColumnSchema& column : table.columns) {
        if (column.persistent) rows[{table.name, row.uuid()}].push_back(row[column.index]);
      }
    }
  }
  return rows;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Directory directory;
  static const Json change = Json::parse(kChange);
  directory.clear();
  const std::string path = directory.file();
  const std::string bytes = file_of({reinterpret_cast<const char*>(data), size});
  std::ofstream(path, std::ios::binary) << bytes;

  std::unique_ptr<Database> database = open(path);
  if (!database) {
    check(bytes.starts_with(read(path)));  // but for a torn tail
    return 0;
  }
  const auto reopened = [&] {
    const Contents before = contents(*database);
    database.reset();
    database = open(path);
    check(database && contents(*database) == before);
  };
  database->compact();
  reopened();
  database->transact(change);
  reopened();
  return 0;
}
