// SPDX-License-Identifier: Apache-2.0
// What is measured and cleaned of texts from outside.
#include <gtest/gtest.h>

#include "schemas/nesting.h"
#include "schemas/plain_text.h"

namespace vswitch {
namespace {

TEST(PlainText, LeavesWordsOfAnyLanguage) {
  for (const char* text :
       {"", "vnet0: up", "Zürich", "日本", "\U0001f600", "\xc2\xa0", "\xe2\x80\xa7", "\xe2\x81\xaa"})
    EXPECT_EQ(plain_text(text, '?'), text);
}

TEST(PlainText, ReplacesWhatSteersATerminal) {
  EXPECT_EQ(plain_text("a\nb\x1b[2J\x7f", '?'), "a?b?[2J?");
  EXPECT_EQ(plain_text("\xc2\x80\xc2\x9b[31m\xc2\x9f", '?'), "??[31m?") << "C1";
  EXPECT_EQ(plain_text("\xe2\x80\xae"
                       "cod.exe\xe2\x80\xac \xe2\x80\xaa\xe2\x81\xa6\xe2\x81\xa9",
                       '.'),
            ".cod.exe. ...");
  EXPECT_EQ(plain_text("\xe2\x80\xa8\xe2\x80\xa9", '?'), "??") << "line separators";
  EXPECT_EQ(plain_text(std::string_view("\0", 1), '?'), "?");
}

TEST(PlainText, ReplacesBytesThatAreNotUtf8) {
  EXPECT_EQ(plain_text("\x9b[31m", '?'), "?[31m") << "CSI in Latin-1";
  EXPECT_EQ(plain_text("\xc0\x8a", '?'), "??") << "an overlong line feed";
  EXPECT_EQ(plain_text("\xe0\x80\x8a", '?'), "???");
  EXPECT_EQ(plain_text("\xed\xa0\x80", '?'), "???") << "a surrogate";
  EXPECT_EQ(plain_text("\xf4\x90\x80\x80", '?'), "????") << "beyond Unicode";
  EXPECT_EQ(plain_text("\xe2\x82", '?'), "??") << "the end is missing";
  EXPECT_EQ(plain_text("\xc3z", '?'), "?z");
}

TEST(Nesting, CountsBracketsOutsideOfStrings) {
  EXPECT_FALSE(nests_deeper_than(3, R"([{"a":[1]},[[2]]])"));
  EXPECT_TRUE(nests_deeper_than(2, R"([{"a":[1]},[[2]]])"));
  EXPECT_FALSE(nests_deeper_than(1, R"(["[[[\"{{{\\"])"));
  EXPECT_TRUE(nests_deeper_than(1, R"(["\\",[]])"));
  EXPECT_FALSE(nests_deeper_than(0, ""));
  EXPECT_FALSE(nests_deeper_than(1, "]]]][ \"\\"));
}

}  // namespace
}  // namespace vswitch
