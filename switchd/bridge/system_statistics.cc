// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/system_statistics.h"

#include <mntent.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string_view>

namespace vswitch::bridge {

namespace {

std::uint64_t page_kib() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

std::string load_average() {
  std::array<double, 3> loads{};
  if (::getloadavg(loads.data(), 3) != 3) return "";
  char text[64];
  std::snprintf(text, sizeof text, "%.2f,%.2f,%.2f", loads[0], loads[1], loads[2]);
  return text;
}

/// Total, used, cached; swap total, swap used: from proc(5) meminfo.
std::string memory() {
  std::map<std::string, std::uint64_t> kib;
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  for (std::uint64_t value = 0; file >> key >> value && std::getline(file, unit);) kib[key] = value;
  if (!kib.contains("MemTotal:")) return "";
  std::string text;
  for (const std::uint64_t value :
       {kib["MemTotal:"], kib["MemTotal:"] - kib["MemFree:"], kib["Buffers:"] + kib["Cached:"],
        kib["SwapTotal:"], kib["SwapTotal:"] - kib["SwapFree:"]}) {
    text += (text.empty() ? "" : ",") + std::to_string(value);
  }
  return text;
}

std::uint64_t processor_time_ms() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto ms = [](const timeval& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * 1000 + static_cast<std::uint64_t>(time.tv_usec) / 1000;
  };
  return ms(usage.ru_utime) + ms(usage.ru_stime);
}

/// Since the process began: field 22 of proc(5) stat, in clock ticks after the boot, beside the uptime.
std::uint64_t age_ms() {
  std::ifstream stat("/proc/self/stat"), uptime("/proc/uptime");
  std::string text;
  std::getline(stat, text);
  double now_s = 0;
  uptime >> now_s;
  std::size_t at = text.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = text.find(' ', at + 1);
  if (at == std::string::npos) return 0;
  const double began_s =
      std::strtod(text.c_str() + at, nullptr) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return static_cast<std::uint64_t>(std::max(0.0, now_s - began_s) * 1000);
}

/// Virtual and resident memory, processor time, crashes (always 0: no monitor restarts us), and the age
/// twice, since the first start and since the last.
std::string process() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  if (!(statm >> size >> resident)) return "";
  const std::string age = std::to_string(age_ms());
  return std::to_string(size * page_kib()) + "," + std::to_string(resident * page_kib()) + "," +
         std::to_string(processor_time_ms()) + ",0," + age + "," + age;
}

/// Local, writable file systems: mount point, total, used. One that does not answer, such as a network file
/// system, is left out.
std::string file_systems() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> mounts(::setmntent("/proc/self/mounts", "r"),
                                                               ::endmntent);
  if (!mounts) return "";
  std::string text;
  while (const mntent* mount = ::getmntent(mounts.get())) {
    struct statvfs space {};
    if (!std::string_view(mount->mnt_fsname).starts_with("/dev") || !::hasmntopt(mount, "rw") ||
        ::statvfs(mount->mnt_dir, &space) != 0)
      continue;
    std::string name = mount->mnt_dir;
    std::replace_if(
        name.begin(), name.end(), [](char c) { return c == ' ' || c == ','; }, '_');
    const auto kib = [&space](auto blocks) { return std::uint64_t{blocks} * space.f_frsize / 1024; };
    text += (text.empty() ? "" : " ") + name + "," + std::to_string(kib(space.f_blocks)) + "," +
            std::to_string(kib(space.f_blocks - space.f_bfree));
  }
  return text;
}

}  // namespace

std::map<std::string, std::string> system_statistics() {
  std::map<std::string, std::string> all{
      {"cpu", std::to_string(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)))},
      {"load_average", load_average()},
      {"memory", memory()},
      {"process_vswitchd", process()},
      {"file_systems", file_systems()}};
  std::erase_if(all, [](const auto& item) { return item.second.empty(); });
  return all;
}

}  // namespace vswitch::bridge
