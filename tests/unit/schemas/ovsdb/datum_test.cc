// SPDX-License-Identifier: Apache-2.0
// UUIDs, atoms, datums and their set algebra.
#include "schemas/ovsdb/datum.h"

#include <gtest/gtest.h>

#include <cctype>
#include <set>

#include "schemas/ovsdb/uuid.h"

namespace vswitch::ovsdb {
namespace {

Datum ints(std::initializer_list<int> numbers) {
  std::vector<Atom> atoms;
  for (const int number : numbers) atoms.emplace_back(std::int64_t{number});
  return Datum::set(std::move(atoms));
}

Datum texts(const std::map<std::string, std::string>& pairs) {
  return Datum::map_of(pairs);
}

TEST(Uuid, TextFormGoesBothWays) {
  const std::string text = "01234567-89ab-cdef-fedc-ba9876543210";
  const auto uuid = Uuid::parse(text);
  ASSERT_TRUE(uuid);
  EXPECT_EQ(uuid->high, 0x0123456789abcdefULL);
  EXPECT_EQ(uuid->low, 0xfedcba9876543210ULL);
  EXPECT_EQ(uuid->to_string(), text);
  EXPECT_EQ(Uuid::parse("01234567-89AB-CDEF-fedc-BA9876543210"), uuid);
}

TEST(Uuid, RefusesAnythingElse) {
  for (const char* text : {"", "0123456789abcdeffedcba9876543210", "01234567-89ab-cdef-fedc-ba987654321",
                           "01234567-89ab-cdef-fedc-ba98765432100", "01234567089ab-cdef-fedc-ba987654321",
                           "g1234567-89ab-cdef-fedc-ba9876543210", " 1234567-89ab-cdef-fedc-ba9876543210"}) {
    EXPECT_FALSE(Uuid::parse(text)) << text;
  }
}

TEST(Uuid, TakesDigitsAndDashesInTheirPlacesOnly) {
  const std::string good = "01234567-89ab-cdef-fedc-ba9876543210";
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text = good;
      text[at] = static_cast<char>(byte);
      const bool fits = good[at] == '-' ? byte == '-' : std::isxdigit(byte) != 0;
      EXPECT_EQ(Uuid::parse(text).has_value(), fits) << text;
    }
  }
  EXPECT_FALSE(Uuid::parse("{01234567-89ab-cdef-fedc-ba9876543210}"));
  EXPECT_FALSE(Uuid::parse("{0123456789abcdeffedcba9876543210}--"));
}

TEST(Uuid, RandomOnesAreVersion4AndDiffer) {
  std::set<Uuid> seen;
  for (int i = 0; i < 1000; ++i) {
    const Uuid uuid = Uuid::random();
    EXPECT_EQ(uuid.to_string()[14], '4');
    EXPECT_NE(std::string("89ab").find(uuid.to_string()[19]), std::string::npos);
    seen.insert(uuid);
  }
  EXPECT_EQ(seen.size(), 1000U);
}

TEST(Uuid, OrderIsThatOfTheText) {
  const auto a = *Uuid::parse("7fffffff-0000-0000-ffff-000000000000");
  const auto b = *Uuid::parse("80000000-0000-0000-0000-000000000000");
  EXPECT_LT(a, b);
  EXPECT_LT(a.to_string(), b.to_string());
}

TEST(Datum, SetsAreSortedAndUnique) {
  const Datum set = ints({30, 10, 20, 10});
  ASSERT_EQ(set.size(), 3U);
  EXPECT_EQ(std::get<std::int64_t>(set.keys()[0]), 10);
  EXPECT_EQ(std::get<std::int64_t>(set.keys()[2]), 30);
  EXPECT_EQ(set, ints({10, 20, 30}));
  EXPECT_FALSE(set.is_map());
  EXPECT_TRUE(set.contains(std::int64_t{20}));
  EXPECT_FALSE(set.contains(std::int64_t{21}));
}

TEST(Datum, MapKeepsTheFirstOfEqualKeys) {
  const Datum map =
      Datum::map({{std::string("k"), std::string("first")}, {std::string("k"), std::string("second")}});
  ASSERT_EQ(map.size(), 1U);
  EXPECT_EQ(*map.value_of(std::string("k")), Atom(std::string("first")));
  EXPECT_EQ(map.value_of(std::string("x")), nullptr);
}

TEST(Datum, EmptySetAndMapAreOne) {
  EXPECT_EQ(Datum::set({}), Datum());
  EXPECT_EQ(Datum::map({}), Datum());
  EXPECT_TRUE(Datum::set({}).empty());
  EXPECT_EQ(Datum().first<std::string>(), nullptr);
}

TEST(Datum, EqualDatumsHashAlike) {
  EXPECT_EQ(ints({7, 9}).hash(), ints({9, 7}).hash());
  EXPECT_NE(ints({7, 9}).hash(), ints({7, 8}).hash());
  EXPECT_FALSE(ints({7}).same(ints({7})));
  const Datum one = ints({7});
  EXPECT_TRUE(one.same(Datum(one)));
}

TEST(Datum, UnionKeepsExistingValues) {
  EXPECT_EQ(united(ints({1, 3}), ints({2, 3})), ints({1, 2, 3}));
  EXPECT_EQ(united(texts({{"a", "old"}}), texts({{"a", "new"}, {"b", "B"}})),
            texts({{"a", "old"}, {"b", "B"}}));
  EXPECT_EQ(united(Datum(), ints({5})), ints({5}));
}

TEST(Datum, RemovalTakesKeysOrPairs) {
  EXPECT_EQ(without(ints({1, 2, 3}), ints({2, 9})), ints({1, 3}));
  const Datum map = texts({{"a", "A"}, {"b", "B"}, {"c", "C"}});
  EXPECT_EQ(without(map, Datum::set({std::string("a"), std::string("z")})), texts({{"b", "B"}, {"c", "C"}}));
  EXPECT_EQ(without(map, texts({{"a", "A"}, {"b", "other"}})), texts({{"b", "B"}, {"c", "C"}}));
  EXPECT_TRUE(without(map, ints({4})).same(map));
}

TEST(Datum, DifferenceUndoesItself) {
  const Datum sets[] = {Datum(), ints({1}), ints({1, 2}), ints({2, 3, 4}), ints({9})};
  for (const Datum& a : sets) {
    for (const Datum& b : sets) EXPECT_EQ(with_difference(a, difference(a, b)), b);
  }
  const Datum maps[] = {Datum(), texts({{"a", "1"}}), texts({{"a", "2"}}), texts({{"a", "2"}, {"b", "3"}}),
                        texts({{"c", "1"}})};
  for (const Datum& a : maps) {
    for (const Datum& b : maps) EXPECT_EQ(with_difference(a, difference(a, b)), b);
  }
}

TEST(Datum, DifferenceHasOldPairsForRemovedAndNewForChanged) {
  const Datum before = texts({{"changed", "old"}, {"gone", "was"}, {"same", "x"}});
  const Datum after = texts({{"changed", "new"}, {"come", "is"}, {"same", "x"}});
  EXPECT_EQ(difference(before, after), texts({{"changed", "new"}, {"come", "is"}, {"gone", "was"}}));
  EXPECT_EQ(difference(ints({1, 2}), ints({2, 3})), ints({1, 3}));
}

TEST(Datum, InclusionAndExclusion) {
  EXPECT_TRUE(included(ints({2}), ints({1, 2})));
  EXPECT_FALSE(included(ints({2, 5}), ints({1, 2})));
  EXPECT_TRUE(included(Datum(), ints({1})));
  EXPECT_TRUE(excluded(ints({3}), ints({1, 2})));
  EXPECT_FALSE(excluded(ints({3, 2}), ints({1, 2})));
  EXPECT_FALSE(included(texts({{"a", "x"}}), texts({{"a", "y"}})));
  EXPECT_TRUE(excluded(texts({{"a", "x"}}), texts({{"a", "y"}})));
}

TEST(Atom, TextForMessages) {
  EXPECT_EQ(to_text(Atom(std::int64_t{-7})), "-7");
  EXPECT_EQ(to_text(Atom(true)), "true");
  EXPECT_EQ(to_text(Atom(std::string("a\"b"))), "\"a\\\"b\"");
  EXPECT_EQ(to_text(Atom(Uuid{1, 2})), "00000000-0000-0001-0000-000000000002");
  EXPECT_EQ(type_of(Atom(2.5)), AtomicType::real);
  EXPECT_EQ(type_of(default_atom(AtomicType::uuid)), AtomicType::uuid);
}

}  // namespace
}  // namespace vswitch::ovsdb
