// SPDX-License-Identifier: Apache-2.0
#include "schemas/ovsdb/uuid.h"

#include <boost/algorithm/hex.hpp>
#include <boost/endian/conversion.hpp>
#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid.hpp>
#include <boost/uuid/uuid_io.hpp>

namespace vswitch::ovsdb {

namespace {

// Where the groups of hexadecimal digits begin and end.
struct Group {
  std::size_t begin, end;
};
constexpr Group kGroups[] = {{0, 8}, {9, 13}, {14, 18}, {19, 23}, {24, 36}};

Uuid from_octets(const boost::uuids::uuid& octets) {
  return {boost::endian::load_big_u64(octets.data), boost::endian::load_big_u64(octets.data + 8)};
}

}  // namespace

std::string Uuid::to_string() const {
  boost::uuids::uuid octets;
  boost::endian::store_big_u64(octets.data, high);
  boost::endian::store_big_u64(octets.data + 8, low);
  return boost::uuids::to_string(octets);
}

// Group by group: boost::uuids::string_generator takes three times as long, which a large database notices.
std::optional<Uuid> Uuid::parse(std::string_view text) {
  if (text.size() != kGroups[4].end) return std::nullopt;
  boost::uuids::uuid octets;
  auto to = octets.begin();
  try {
    for (const auto& [begin, end] : kGroups) {
      if (begin != 0 && text[begin - 1] != '-') return std::nullopt;
      to = boost::algorithm::unhex(text.begin() + begin, text.begin() + end, to);
    }
  } catch (const boost::algorithm::hex_decode_error&) {
    return std::nullopt;
  }
  return from_octets(octets);
}

Uuid Uuid::random() {
  // Seeded from the system's entropy; asking the system for each one takes ten times as long.
  thread_local boost::uuids::random_generator_mt19937 generator;
  return from_octets(generator());
}

}  // namespace vswitch::ovsdb
