// SPDX-License-Identifier: Apache-2.0
#include "switchd/model/datapath_settings.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <set>
#include <string_view>

#include "switchd/db/row.h"

namespace vswitch::model {

namespace {

template <typename Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Reads keys one by one and records what is wrong with them.
class Reader {
 public:
  Reader(const ovsdb::Row& root, std::vector<std::string>& complaints)
      : root_(root), complaints_(complaints) {}

  /// A number from `low` to `high`; otherwise `value` stays as it is.
  template <typename Number>
  void read(std::string_view key, Number low, Number high, Number& value) {
    const std::string* text = take(key);
    if (text == nullptr) return;
    const auto found = number<Number>(*text);
    if (found && *found >= low && *found <= high) {
      value = *found;
    } else {
      complain(key, *text, "give a number from " + std::to_string(low) + " to " + std::to_string(high));
    }
  }

  void read(std::string_view key, bool& value) {
    const std::string* text = take(key);
    if (text == nullptr) return;
    if (*text == "true" || *text == "false") {
      value = *text == "true";
    } else {
      complain(key, *text, "give true or false");
    }
  }

  /// Processors as in cpuset(7): 0-3,8.
  void read(std::string_view key, const std::vector<unsigned>& processors, std::vector<unsigned>& cpus) {
    const std::string* text = take(key);
    if (text == nullptr) return;
    std::string_view rest = *text;
    while (!rest.empty()) {
      const std::string_view range = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(range.size() + 1, rest.size()));
      const std::size_t dash = range.find('-');
      const auto first = number<unsigned>(range.substr(0, dash));
      const auto last = dash == range.npos ? first : number<unsigned>(range.substr(dash + 1));
      if (!first || !last || *first > *last) {
        cpus.clear();
        return complain(key, *text, "give a list of processors, such as 0-3,8");
      }
      for (const unsigned cpu : processors) {
        if (cpu >= *first && cpu <= *last) cpus.push_back(cpu);
      }
    }
    if (cpus.empty()) complain(key, *text, "vswitchd may use none of these processors");
  }

  /// Keys that nobody has read, such as those of Open vSwitch for its own datapath.
  void complain_of_the_rest() {
    for (const auto& [key, value] : root_.map("other_config")) {
      if (!known_.contains(key))
        complaints_.push_back("Open_vSwitch other_config:" + key + " has no effect here");
    }
  }

 private:
  const std::string* take(std::string_view key) {
    known_.insert(key);
    return root_.value("other_config", key);
  }

  void complain(std::string_view key, const std::string& value, const std::string& what_to_do) {
    complaints_.push_back("Open_vSwitch other_config:" + std::string(key) + "=\"" + value +
                          "\" is not used: " + what_to_do);
  }

  const ovsdb::Row& root_;
  std::vector<std::string>& complaints_;
  std::set<std::string_view> known_;
};

}  // namespace

DatapathSettings read_datapath_settings(const ovsdb::Row& root, const std::vector<unsigned>& processors) {
  constexpr std::size_t kMaxKib = 1024 * 1024;
  DatapathSettings settings;
  Reader reader(root, settings.complaints);
  reader.read<std::size_t>("worker-threads", 1, 64, settings.at_start.worker_threads);
  reader.read<std::size_t>("mirror-threads", 1, 64, settings.at_start.mirror_threads);
  reader.read<std::size_t>("mirror-queue-kib", 256, kMaxKib, settings.at_start.mirror_queue_kib);
  reader.read<std::size_t>("receive-ring-kib", 96, 64 * 1024, settings.ports.receive_ring_kib);
  reader.read<std::size_t>("receive-queue-kib", 256, kMaxKib, settings.ports.receive_queue_kib);
  reader.read("xdp-transmit", settings.ports.xdp_transmit);
  reader.read("xdp-copies", settings.ports.xdp_copies);
  reader.read("kernel-fast-path", settings.kernel_fast_path);
  std::size_t session_kib = 0;
  reader.read<std::size_t>("mirror-session-kib", 64, kMaxKib, session_kib);
  settings.work.session_queue_bytes = session_kib * 1024;
  reader.read<unsigned>("mirror-cpu-share", 1, 50, settings.work.mirror_share);
  TimeNs spin_us = 0;
  reader.read<TimeNs>("worker-spin-us", 0, 1000, spin_us);
  settings.work.spin = spin_us * 1000;
  TimeNs gather_us = settings.work.gather / 1000;
  reader.read<TimeNs>("worker-gather-us", 0, 200, gather_us);
  settings.work.gather = gather_us * 1000;
  reader.read("worker-cpus", processors, settings.work.worker_cpus);
  reader.read("mirror-cpus", processors, settings.work.mirror_cpus);
  std::uint64_t seed = 0;
  reader.read<std::uint64_t>("mirror-sample-seed", 0, std::numeric_limits<std::uint64_t>::max(), seed);
  settings.work.sample_seed = seed;
  // Read elsewhere, when they are needed (bridge/switch.cc, bridge/statistics.cc).
  std::int64_t interval_ms = 0;
  reader.read<std::int64_t>("stats-update-interval", 0, std::numeric_limits<std::int64_t>::max(),
                            interval_ms);
  bool with_statistics = false;
  reader.read("enable-statistics", with_statistics);
  reader.complain_of_the_rest();
  return settings;
}

}  // namespace vswitch::model
