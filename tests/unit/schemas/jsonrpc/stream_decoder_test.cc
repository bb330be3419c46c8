// SPDX-License-Identifier: Apache-2.0
// The decoder finds the same messages however the stream is cut, and says what is wrong with the rest.
#include "schemas/jsonrpc/stream_decoder.h"

#include <gmock/gmock.h>

#include <random>

#include "schemas/jsonrpc/message.h"

namespace vswitch::jsonrpc {
namespace {

using ::testing::HasSubstr;
using Kind = DecodeError::Kind;

std::vector<Json> drain(StreamDecoder& decoder) {
  std::vector<Json> found;
  while (auto message = decoder.next()) found.push_back(std::move(*message));
  return found;
}

void feed_into(StreamDecoder& decoder, std::string_view bytes, std::vector<Json>& found) {
  decoder.feed(bytes);
  for (Json& message : drain(decoder)) found.push_back(std::move(message));
}

std::vector<Json> decode(std::string_view stream) {
  StreamDecoder decoder;
  std::vector<Json> found;
  feed_into(decoder, stream, found);
  return found;
}

DecodeError refusal(std::string_view stream, DecodeLimits limits = {}) {
  StreamDecoder decoder(limits);
  decoder.feed(stream);
  try {
    drain(decoder);
  } catch (const DecodeError& error) {
    EXPECT_THROW(decoder.next(), DecodeError) << "the stream is lost for good";
    return error;
  }
  ADD_FAILURE() << stream.substr(0, 80) << " was not refused";
  return {Kind::not_json, ""};
}

std::string nested(std::size_t levels) {
  return std::string(levels, '[') + std::string(levels, ']');
}

// Brackets and quotes in strings, escapes at their worst, white space of all kinds, glued and not.
const std::string kStream =
    " \r\n\t{\"method\":\"echo\",\"params\":[\"}{][\\\"\\\\\",\"\\\\\"],\"id\":0}{}[1,[2,{\"a\":[]}]]\n\n"
    R"({"jsonrpc":"2.0","method":"m","params":{"s":"\uD83D\uDE00 \u0041\u00e4 ü \/\b\f\n\r\t"},"id":"x"})"
    "[]\t{\"\\\"\":{\"\\\\\\\"}\":\"\\u0010{\"}}  ";

// Looking at a message changes nothing about the next one, however often it is done.
TEST(StreamDecoder, ShowsAMessageBeforeItIsTaken) {
  StreamDecoder decoder;
  decoder.feed(R"( {"a":1} [2,)");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(decoder.peek(), R"({"a":1})");
  EXPECT_GT(decoder.peeked_memory(), 0U);
  EXPECT_EQ(decoder.next(), Json::parse(R"({"a":1})"));
  EXPECT_EQ(decoder.peek(), std::nullopt);
  EXPECT_EQ(decoder.unread(), 3U);
  decoder.skip();  // nothing is complete
  decoder.feed(R"(3][4]{"b":5} )");
  EXPECT_EQ(decoder.peek(), "[2,3]");
  decoder.skip();
  EXPECT_EQ(decoder.next(), Json({4}));
  EXPECT_EQ(decoder.peek(), R"({"b":5})");
  decoder.skip();
  EXPECT_EQ(decoder.peek(), std::nullopt);
  EXPECT_TRUE(decoder.is_empty());
  EXPECT_TRUE(decoder.at_border());
  decoder.feed("]");
  EXPECT_THROW(decoder.peek(), DecodeError);
  EXPECT_THROW(decoder.next(), DecodeError);
}

TEST(StreamDecoder, FindsGluedMessages) {
  const std::vector<Json> found = decode(kStream);
  ASSERT_EQ(found.size(), 6u);
  EXPECT_EQ(found[0].at("params"), Json({"}{][\"\\", "\\"}));
  EXPECT_EQ(found[1], Json::object());
  EXPECT_EQ(found[3].at("params").at("s"), "\xF0\x9F\x98\x80 A\xC3\xA4 \xC3\xBC /\b\f\n\r\t");
  EXPECT_EQ(found[5], Json({{"\"", {{"\\\"}", "\x10{"}}}}));
}

TEST(StreamDecoder, AnyCutInTwoGivesTheSameMessages) {
  const std::vector<Json> whole = decode(kStream);
  for (std::size_t cut = 0; cut <= kStream.size(); ++cut) {
    StreamDecoder decoder;
    std::vector<Json> found;
    feed_into(decoder, std::string_view(kStream).substr(0, cut), found);
    feed_into(decoder, std::string_view(kStream).substr(cut), found);
    EXPECT_EQ(found, whole) << "cut at " << cut;
    EXPECT_TRUE(decoder.at_border());
  }
}

Json random_json(std::mt19937& random, int depth) {
  const auto below = [&random](std::size_t n) { return random() % n; };
  const auto word = [&] {
    static const std::string kAlphabet[] = {"{", "}", "[",  "]", "\"",    "\\", ",",
                                            ":", " ", "\n", "a", "u0000", "é",  "😀"};
    std::string text;
    for (std::size_t left = below(8); left > 0; --left) text += kAlphabet[below(std::size(kAlphabet))];
    return text;
  };
  switch (depth > 0 ? below(6) : below(4)) {
    case 0:
      return word();
    case 1:
      return static_cast<std::int64_t>(random()) - 2'000'000'000;
    case 2:
      return below(2) == 0;
    case 3:
      return nullptr;
    case 4: {
      Json array = Json::array();
      for (std::size_t left = below(5); left > 0; --left) array.push_back(random_json(random, depth - 1));
      return array;
    }
    default: {
      Json object = Json::object();
      for (std::size_t left = below(5); left > 0; --left) object[word()] = random_json(random, depth - 1);
      return object;
    }
  }
}

TEST(StreamDecoder, RandomMessagesRandomlyCutComeOutAsTheyWentIn) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    std::mt19937 random(seed);
    std::vector<Json> sent;
    std::string stream;
    for (int i = 0; i < 8; ++i) {
      Json message =
          random() % 2 ? Json{{"m", random_json(random, 5)}} : Json::array({random_json(random, 5)});
      stream += message.dump(random() % 3 ? -1 : 2, ' ', random() % 2) + (random() % 2 ? "" : " \n");
      sent.push_back(std::move(message));
    }
    StreamDecoder decoder;
    std::vector<Json> found;
    for (std::size_t at = 0; at < stream.size();) {
      const std::size_t length = 1 + random() % 40;
      feed_into(decoder, std::string_view(stream).substr(at, length), found);
      at += length;
    }
    ASSERT_EQ(found, sent) << "seed " << seed;
  }
}

TEST(StreamDecoder, RefusesTheSameThingHoweverItIsCut) {
  const std::string bad = R"({"a":"\\u0000 is fine"} {"b":"x\u0000y"})";
  for (std::size_t cut = 0; cut <= bad.size(); ++cut) {
    StreamDecoder decoder;
    std::vector<Json> found;
    try {
      feed_into(decoder, std::string_view(bad).substr(0, cut), found);
      feed_into(decoder, std::string_view(bad).substr(cut), found);
      ADD_FAILURE() << "not refused, cut at " << cut;
    } catch (const DecodeError& error) {
      EXPECT_EQ(error.kind, Kind::nul);
    }
  }
}

TEST(StreamDecoder, FedByteByByteALargeMessageIsFoundInLinearTime) {
  // 2 MB, one byte at a time: 2e12 steps if anything were quadratic, which no test run would survive.
  const Json message = {{"text", std::string(2'000'000, '{')}};
  const std::string text = message.dump();
  StreamDecoder decoder;
  std::optional<Json> found;
  for (const char& byte : text) {
    ASSERT_FALSE(found);
    decoder.feed({&byte, 1});
    found = decoder.next();
  }
  EXPECT_EQ(found, message);
}

TEST(StreamDecoder, ManySmallMessagesInOneFeed) {
  std::string stream;
  for (int i = 0; i < 100'000; ++i) stream += "{\"id\":" + std::to_string(i) + "}";
  const std::vector<Json> found = decode(stream);
  ASSERT_EQ(found.size(), 100'000u);
  EXPECT_EQ(found.back().at("id"), 99'999);
}

TEST(StreamDecoder, NothingYetIsNoMessage) {
  StreamDecoder decoder;
  EXPECT_EQ(decoder.next(), std::nullopt);
  EXPECT_TRUE(decoder.at_border());
  decoder.feed("  {\"a\":");
  EXPECT_EQ(decoder.next(), std::nullopt);
  EXPECT_FALSE(decoder.at_border());
}

TEST(StreamDecoder, WhatCannotBecomeAMessageIsRefusedAtItsFirstByte) {
  EXPECT_THAT(refusal("GET / HTTP/1.1\r\n").what(), HasSubstr("'G'"));
  EXPECT_THAT(refusal("\x16\x03\x01").what(), HasSubstr("0x16"));
  EXPECT_THAT(refusal("{}\"text\"").what(), HasSubstr("'\"'"));
  EXPECT_THAT(refusal("17").what(), HasSubstr("begins with"));
  EXPECT_THAT(refusal("}").what(), HasSubstr("'}'"));
  EXPECT_THAT(refusal("{\"a\":[1,}").what(), HasSubstr("'}' where ']'"));
}

TEST(StreamDecoder, TheParserSaysWhatIsWrongInside) {
  for (const char* text : {"{\"a\" 1}", "[1,]", "{'a':1}", "[01]", "[nul]", "[\"\\x\"]", "[\"\\u12\"]",
                           "[\"\n\"]", "[\"\\ud800\"]", "[\"\\udc00x\"]", "[1e999]", "[1 2]"}) {
    const DecodeError error = refusal(text);
    EXPECT_EQ(error.kind, Kind::not_json);
    EXPECT_THAT(error.what(), ::testing::StartsWith("not valid JSON: "));
    EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("json.exception")));
  }
}

TEST(StreamDecoder, BytesThatAreNotUtf8AreRefused) {
  for (const char* text :
       {"[\"\xff\"]", "[\"\xc3\"]", "[\"\xc0\x80\"]", "[\"\xed\xa0\x80\"]", "[\"\xf5\x80\x80\x80\"]"}) {
    EXPECT_EQ(refusal(text).kind, Kind::not_json);
  }
}

TEST(StreamDecoder, NestingUpToTheLimitAndNotBeyond) {
  StreamDecoder decoder;
  decoder.feed(nested(1000));
  ASSERT_TRUE(decoder.next());
  const DecodeError error = refusal(nested(1001));
  EXPECT_EQ(error.kind, Kind::too_deep);
  EXPECT_THAT(error.what(), HasSubstr("1000"));
  // Refused when it opens, not when it ends: a million brackets never become a million levels.
  EXPECT_EQ(refusal(std::string(1'000'000, '[')).kind, Kind::too_deep);
}

TEST(StreamDecoder, SizeUpToTheLimitAndNotBeyond) {
  const DecodeLimits limits{.message_bytes = 20, .nesting = 5};
  StreamDecoder decoder(limits);
  decoder.feed("[\"0123456789abcdef\"]  [\"0123456789abcdef\"]");  // twice 20 bytes: the limit is for each
  EXPECT_EQ(drain(decoder).size(), 2u);
  const DecodeError error = refusal("[\"0123456789abcdefg\"]", limits);
  EXPECT_EQ(error.kind, Kind::too_large);
  EXPECT_THAT(error.what(), HasSubstr("20 bytes"));
}

TEST(StreamDecoder, IntegersAreExact) {
  const Json values = decode("[9223372036854775807,-9223372036854775808,9007199254740993]").at(0);
  EXPECT_EQ(values[0].get<std::int64_t>(), INT64_MAX);
  EXPECT_EQ(values[1].get<std::int64_t>(), INT64_MIN);
  EXPECT_EQ(values[2].get<std::int64_t>(), 9007199254740993);
}

}  // namespace
}  // namespace vswitch::jsonrpc
