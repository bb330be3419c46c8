// SPDX-License-Identifier: Apache-2.0
// JSON notation, constraints, conditions and mutations. Error texts are those of Open vSwitch 3.1.
#include "schemas/ovsdb/notation.h"

#include <gtest/gtest.h>

#include "schemas/json.h"
#include "schemas/ovsdb/condition.h"
#include "schemas/ovsdb/error.h"
#include "schemas/ovsdb/mutation.h"

namespace vswitch::ovsdb {
namespace {

const DatabaseSchema& schema() {
  static const DatabaseSchema parsed = DatabaseSchema::parse(Json::parse(R"({
    "name": "Test", "version": "7.8.9", "tables": {"T": {"columns": {
      "number": {"type": {"key": {"type": "integer", "minInteger": -5, "maxInteger": 50}}},
      "big": {"type": "integer"},
      "fixed": {"type": "integer", "mutable": false},
      "share": {"type": {"key": {"type": "real", "minReal": 0.5}}},
      "flag": {"type": "boolean"},
      "word": {"type": {"key": {"type": "string", "minLength": 2, "maxLength": 4}}},
      "color": {"type": {"key": {"type": "string", "enum": ["set", ["red", "green"]]}, "min": 0, "max": 1}},
      "tag": {"type": {"key": {"type": "integer", "maxInteger": 4095}, "min": 0, "max": 1}},
      "few": {"type": {"key": "integer", "min": 1, "max": 3}},
      "sizes": {"type": {"key": "integer", "min": 0, "max": "unlimited"}},
      "shares": {"type": {"key": "real", "min": 0, "max": "unlimited"}},
      "names": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
      "friends": {"type": {"key": {"type": "uuid", "refTable": "T"}, "min": 0, "max": "unlimited"}}}}}})"));
  return parsed;
}

const TableSchema& table() {
  return schema().tables[0];
}
const ColumnSchema& column(const char* name) {
  return table().columns[table().at(name)];
}

Datum parse(const char* name, const char* text) {
  return datum_from_json(Json::parse(text), column(name).type);
}

/// "error: details" of what the expression throws, "" when nothing is thrown.
template <class Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.error + ": " + error.details;
  }
  return "";
}

std::string parse_refusal(const char* name, const char* text) {
  return refusal([&] { parse(name, text); });
}

TEST(Notation, RoundTripsEveryShape) {
  const std::pair<const char*, const char*> cases[] = {
      {"number", "-5"},
      {"share", "0.75"},
      {"flag", "true"},
      {"word", "\"h\u00e9j\""},
      {"word", R"("\"\\\u0007")"},
      {"color", R"(["set",[]])"},
      {"color", "\"green\""},
      {"sizes", R"(["set",[3,5,7]])"},
      {"sizes", "4"},
      {"names", R"(["map",[["a","1"],["b",""]]])"},
      {"names", R"(["map",[]])"},
      {"friends", R"(["uuid","00000000-0000-0001-0000-000000000002"])"}};
  for (const auto& [name, text] : cases) {
    const Datum datum = parse(name, text);
    EXPECT_EQ(to_json(datum, column(name).type), Json::parse(text)) << name;
    std::string written;
    append_text(written, datum, column(name).type);
    EXPECT_EQ(written, Json::parse(text).dump()) << name;
  }
}

TEST(Notation, OneElementMayComeAsASet) {
  EXPECT_EQ(parse("number", R"(["set",[17]])"), Datum::of(17));
  EXPECT_EQ(parse("tag", R"(["set",[17]])"), Datum::of(17));
}

TEST(Notation, WholeRealsAreIntegers) {
  EXPECT_EQ(parse("big", "1.0"), Datum::of(1));
  EXPECT_EQ(parse("big", "12e2"), Datum::of(1200));
  EXPECT_EQ(parse("big", "9223372036854775807"), Datum::of(std::int64_t{INT64_MAX}));
  EXPECT_EQ(parse("big", "-9223372036854775808"), Datum::of(std::int64_t{INT64_MIN}));
  EXPECT_EQ(parse_refusal("big", "1.5"), "syntax error: expected integer");
  for (const char* beyond : {"9223372036854775808", "-9223372036854775809", "18446744073709551615", "1e30",
                             "-1e30", "99999999999999999999"}) {
    EXPECT_EQ(parse_refusal("big", beyond),
              "syntax error: expected integer from -9223372036854775808 to 9223372036854775807")
        << beyond;
  }
  EXPECT_EQ(parse("share", "3"), Datum::scalar(3.0));
}

TEST(Notation, RealsAreReadBackAsTheyWere) {
  for (const char* text : {"1", "100000", "2.5", "1.5e+300", "1e+15", "1e+20", "1e-05", "123456.7",
                           "0.6000000000000001", "123456789.12345679", "1.2345678901234568e+17"}) {
    std::string written;
    append_text(written, parse("shares", text), column("shares").type);
    EXPECT_EQ(written, text);
  }
  EXPECT_EQ(to_json(Atom(-0.0)).dump(), "0");
  EXPECT_EQ(to_text(Atom(7.0)), "7");
  EXPECT_EQ(parse_refusal("share", "-3.0"),
            "constraint violation: -3 is less than minimum allowed value 0.5");
}

TEST(Notation, RefusesWrongTypesAndNumbersOfElements) {
  EXPECT_EQ(parse_refusal("number", "\"5\""), "syntax error: expected integer");
  EXPECT_EQ(parse_refusal("flag", "1"), "syntax error: expected boolean");
  EXPECT_EQ(parse_refusal("word", "[]"), "syntax error: expected string");
  EXPECT_EQ(parse_refusal("names", "\"x\""), "syntax error: expected [\"map\", <array>]");
  EXPECT_EQ(parse_refusal("color", R"(["set",["red","green"]])"),
            "syntax error: set must have 0 to 1 members but 2 are present");
  EXPECT_EQ(parse_refusal("few", R"(["set",[]])"),
            "syntax error: set must have 1 to 3 members but 0 are present");
  EXPECT_EQ(parse_refusal("sizes", R"(["set",[4,4]])"), "ovsdb error: set contains duplicate");
  EXPECT_EQ(parse_refusal("names", R"(["map",[["a","1"],["a","2"]]])"),
            "ovsdb error: map contains duplicate key");
  EXPECT_EQ(parse_refusal("friends", R"(["uuid","xyz"])"), "syntax error: \"xyz\" is not a valid UUID");
  EXPECT_EQ(parse_refusal("friends", R"(["named-uuid","a"])"), "syntax error: expected [\"uuid\", <string>]");
}

TEST(Notation, ConstraintsNameValueAndLimit) {
  EXPECT_EQ(parse_refusal("number", "51"),
            "constraint violation: 51 is not in the valid range -5 to 50 (inclusive)");
  EXPECT_EQ(parse_refusal("tag", "4096"),
            "constraint violation: 4096 is greater than maximum allowed value 4095");
  EXPECT_EQ(parse_refusal("share", "0.25"),
            "constraint violation: 0.25 is less than minimum allowed value 0.5");
  EXPECT_EQ(parse_refusal("color", "\"blue\""),
            "constraint violation: blue is not one of the allowed values ([green, red])");
  EXPECT_NE(parse_refusal("word", "\"a\""), "");
  EXPECT_NE(parse_refusal("word", "\"abcde\""), "");
  EXPECT_EQ(parse_refusal("word", "\"\u00e9\u00e9\u00e9\u00e9\""), "")
      << "length counts characters, not bytes";
}

TEST(Notation, ValuesMadeInCodeAreChecked) {
  const auto check = [](const char* name, const Datum& datum) {
    return refusal([&] { check_type(datum, column(name).type); });
  };
  EXPECT_EQ(check("names", Datum::map_of(std::map<std::string, std::string>{{"a", "b"}})), "");
  EXPECT_NE(check("names", Datum::of("a")), "");
  EXPECT_NE(check("number", Datum::of("5")), "");
  EXPECT_NE(check("number", Datum::of(51)), "");
  EXPECT_NE(check("number", Datum()), "");
  EXPECT_EQ(check("names", Datum::map_of(std::map<std::string, std::string>{{"a", "\xc3\xa9"}})), "");
  EXPECT_NE(check("names", Datum::map_of(std::map<std::string, std::string>{{"a", "\xff"}})), "");
  EXPECT_NE(check("names", Datum::map_of(std::map<std::string, std::string>{{"a", std::string("\0", 1)}})),
            "");
}

TEST(Notation, NamedUuidsAreDefinedOnceAndKeepTheirUuid) {
  NamedUuids names;
  const Uuid early = names.mention("later");
  EXPECT_EQ(names.define("later", std::nullopt), early);
  EXPECT_EQ(names.mention("later"), early);
  EXPECT_EQ(refusal([&] { names.define("later", std::nullopt); }),
            "duplicate uuid-name: This \"uuid-name\" appeared on an earlier \"insert\" operation.");
  EXPECT_EQ(names.define("chosen", Uuid{7, 8}), (Uuid{7, 8}));
  names.mention("clash");
  EXPECT_NE(refusal([&] { names.define("clash", Uuid{9, 9}); }), "");
  const Json json = Json::parse(R"(["set",[["named-uuid","later"],["named-uuid","chosen"]]])");
  EXPECT_EQ(datum_from_json(json, column("friends").type, &names), Datum::set({early, Uuid{7, 8}}));
}

TEST(Notation, Identifiers) {
  EXPECT_TRUE(is_id("_a9"));
  for (const char* name : {"", "9a", "a-b", "a b", "\u00e9"}) EXPECT_FALSE(is_id(name)) << name;
}

/// Values of a row of T that differ from the defaults.
std::vector<Datum> row() {
  std::vector<Datum> values;
  for (const ColumnSchema& each : table().columns) values.push_back(each.initial);
  const auto set = [&](const char* name, const char* text) { values[table().at(name)] = parse(name, text); };
  values[TableSchema::kUuid] = Datum::of(Uuid{3, 4});
  set("number", "12");
  set("share", "2.5");
  set("tag", "100");
  set("sizes", R"(["set",[4,6]])");
  set("names", R"(["map",[["k","v"],["l","w"]]])");
  set("word", "\"ab\"");
  return values;
}

bool holds(const char* clause) {
  const Condition condition = Condition::parse(Json::array({Json::parse(clause)}), table());
  return condition.all_hold(row());
}

TEST(Condition, EveryFunction) {
  EXPECT_TRUE(holds(R"(["number","==",12])"));
  EXPECT_FALSE(holds(R"(["number","!=",12])"));
  EXPECT_TRUE(holds(R"(["number","<",13])"));
  EXPECT_FALSE(holds(R"(["number","<",12])"));
  EXPECT_TRUE(holds(R"(["number","<=",12])"));
  EXPECT_TRUE(holds(R"(["share",">",2.25])"));
  EXPECT_FALSE(holds(R"(["share",">=",2.75])"));
  EXPECT_TRUE(holds(R"(["tag",">=",100])"));
  EXPECT_TRUE(holds(R"(["sizes","includes",6])"));
  EXPECT_FALSE(holds(R"(["sizes","includes",["set",[6,7]]])"));
  EXPECT_TRUE(holds(R"(["sizes","excludes",["set",[5,7]]])"));
  EXPECT_TRUE(holds(R"(["sizes","==",["set",[6,4]]])"));
  EXPECT_TRUE(holds(R"(["names","includes",["map",[["k","v"]]]])"));
  EXPECT_FALSE(holds(R"(["names","includes",["map",[["k","w"]]]])"));
  EXPECT_TRUE(holds(R"(["names","excludes",["map",[["k","w"]]]])"));
  EXPECT_TRUE(holds(R"(["color","==",["set",[]]])"));
  EXPECT_TRUE(holds(R"(["_uuid","==",["uuid","00000000-0000-0003-0000-000000000004"]])"));
  EXPECT_TRUE(holds("true"));
  EXPECT_FALSE(holds("false"));
}

TEST(Condition, OrderOfAnEmptyOptionalNeverHolds) {
  std::vector<Datum> values = row();
  values[table().at("tag")] = Datum();
  EXPECT_FALSE(Condition::parse(Json::parse(R"([["tag","<",100]])"), table()).all_hold(values));
  EXPECT_FALSE(Condition::parse(Json::parse(R"([["tag",">=",0]])"), table()).all_hold(values));
}

TEST(Condition, AllAndAny) {
  const Condition both = Condition::parse(Json::parse(R"([["number","==",12],["tag","==",1]])"), table());
  EXPECT_FALSE(both.all_hold(row()));
  EXPECT_TRUE(both.any_holds(row()));
  EXPECT_TRUE(Condition().all_hold(row()));
  EXPECT_TRUE(Condition().any_holds(row()));
  const Condition pinned = Condition::parse(
      Json::parse(R"([["_uuid","==",["uuid","00000000-0000-0003-0000-000000000004"]]])"), table());
  EXPECT_EQ(pinned.only_row(), (Uuid{3, 4}));
  EXPECT_EQ(both.only_row(), std::nullopt);
}

TEST(Condition, Refusals) {
  const auto refused = [](const char* clause) {
    return refusal([&] { Condition::parse(Json::array({Json::parse(clause)}), table()); });
  };
  EXPECT_EQ(refused(R"(["nope","==",1])"), "unknown column: No column nope in table T.");
  EXPECT_EQ(refused(R"(["number","=~",1])"), "unknown function: No function named =~.");
  EXPECT_EQ(refused(R"(["number","=="])"), "syntax error: Parse error in condition.");
  EXPECT_EQ(refused(R"(["word","<","zz"])"),
            "syntax error: Type mismatch: \"<\" operator may not be applied to column word of type string.");
  EXPECT_NE(refused(R"(["sizes","<",1])"), "");
  EXPECT_NE(refused(R"(["tag","<",["set",[]]])"), "");
}

Datum mutated(const char* name, const char* mutator, const char* argument) {
  const Json json = Json::array({name, mutator, Json::parse(argument)});
  return Mutation::parse(json, table()).apply(row()[table().at(name)]);
}

std::string mutation_refusal(const char* name, const char* mutator, const char* argument) {
  return refusal([&] { mutated(name, mutator, argument); });
}

TEST(Mutation, Arithmetic) {
  EXPECT_EQ(mutated("number", "+=", "3"), Datum::of(15));
  EXPECT_EQ(mutated("number", "-=", "15"), Datum::of(-3));
  EXPECT_EQ(mutated("number", "*=", "4"), Datum::of(48));
  EXPECT_EQ(mutated("number", "/=", "5"), Datum::of(2));
  EXPECT_EQ(mutated("number", "%=", "5"), Datum::of(2));
  EXPECT_EQ(mutated("share", "*=", "3"), Datum::scalar(7.5));
  EXPECT_EQ(mutated("share", "/=", "0.5"), Datum::scalar(5.0));
  EXPECT_EQ(mutated("tag", "+=", "11"), Datum::of(111));
  EXPECT_EQ(mutated("sizes", "+=", "10"), Datum::set_of(std::vector<std::int64_t>{14, 16}));
  EXPECT_EQ(mutated("color", "delete", "\"red\""), Datum());
}

TEST(Mutation, ArithmeticRefusals) {
  EXPECT_EQ(mutation_refusal("number", "/=", "0"), "domain error: Division by zero.");
  EXPECT_EQ(mutation_refusal("number", "%=", "0"), "domain error: Division by zero.");
  EXPECT_EQ(mutation_refusal("share", "/=", "0"), "domain error: Division by zero.");
  EXPECT_EQ(mutation_refusal("number", "*=", "9223372036854775807"),
            "range error: Result of \"*=\" operation is out of range.");
  EXPECT_EQ(mutation_refusal("share", "*=", "1e308"),
            "range error: Result of \"*=\" operation is out of range.");
  EXPECT_EQ(mutation_refusal("number", "+=", "39"),
            "constraint violation: 51 is not in the valid range -5 to 50 (inclusive)");
  EXPECT_EQ(mutation_refusal("sizes", "%=", "2"),
            "constraint violation: Result of \"%=\" operation contains duplicates.");
  EXPECT_NE(mutation_refusal("share", "%=", "2"), "");
  EXPECT_NE(mutation_refusal("word", "+=", "\"x\""), "");
  EXPECT_NE(mutation_refusal("names", "+=", "1"), "");
  EXPECT_EQ(mutation_refusal("fixed", "+=", "1"),
            "constraint violation: Cannot mutate immutable column fixed in table T.");
  EXPECT_EQ(mutation_refusal("number", "frob", "1"), "unknown mutator: No mutator named frob.");
}

TEST(Mutation, SmallestIntegerByMinusOne) {
  const auto apply = [](const char* mutator) {
    const Json json = Json::array({"big", mutator, -1});
    return Mutation::parse(json, table()).apply(Datum::of(std::int64_t{INT64_MIN}));
  };
  EXPECT_EQ(refusal([&] { apply("/="); }), "range error: Result of \"/=\" operation is out of range.");
  EXPECT_EQ(apply("%="), Datum::of(0));
}

TEST(Mutation, InsertAndDelete) {
  EXPECT_EQ(mutated("sizes", "insert", R"(["set",[6,9]])"),
            Datum::set_of(std::vector<std::int64_t>{4, 6, 9}));
  EXPECT_EQ(mutated("sizes", "delete", R"(["set",[6,9]])"), Datum::of(4));
  EXPECT_EQ(mutated("names", "insert", R"(["map",[["k","other"],["m","x"]]])"),
            Datum::map_of(std::map<std::string, std::string>{{"k", "v"}, {"l", "w"}, {"m", "x"}}));
  EXPECT_EQ(mutated("names", "delete", R"(["set",["k","z"]])"),
            Datum::map_of(std::map<std::string, std::string>{{"l", "w"}}));
  EXPECT_EQ(mutated("names", "delete", R"(["map",[["k","v"],["l","z"]]])"),
            Datum::map_of(std::map<std::string, std::string>{{"l", "w"}}));
  EXPECT_EQ(mutation_refusal("tag", "insert", "5"),
            "constraint violation: Attempted to store 2 elements in set of up to 1 integers.");
  EXPECT_EQ(mutation_refusal("few", "delete", "0"),
            "constraint violation: Attempted to store 0 elements in set of 1 to 3 integers.");
  EXPECT_EQ(mutation_refusal("number", "insert", "5"),
            "syntax error: Type mismatch: \"insert\" operator may not be applied to column number of type "
            "integer.");
}

}  // namespace
}  // namespace vswitch::ovsdb
