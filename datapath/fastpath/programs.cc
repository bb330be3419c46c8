// SPDX-License-Identifier: Apache-2.0
#include "datapath/fastpath/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <datapath/fastpath/fastpath.skel.h>  // made of fastpath.bpf.c (cmake/bpf.cmake)
#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "datapath/base/background.h"
#include "datapath/base/switch_mark.h"
#include "datapath/fastpath/trial.h"

namespace vswitch::fastpath {

namespace {

/// All fields of an account are counters; sums those of all processors.
template <typename Account>
Account sum(const MappedArray<Account>& stripes, std::size_t slots, std::size_t slot) {
  constexpr std::size_t kFields = sizeof(Account) / sizeof(std::uint64_t);
  std::uint64_t total[kFields] = {};
  for (std::size_t at = slot; at < stripes.size(); at += slots) {
    auto* counters = reinterpret_cast<std::uint64_t*>(&stripes[at]);
    for (std::size_t i = kFields;
         i-- > 0;)  // backwards: an outcome is counted after what it is the outcome of
      total[i] += std::atomic_ref(counters[i]).load(std::memory_order_relaxed);
  }
  Account account;
  std::memcpy(&account, total, sizeof account);
  return account;
}

[[noreturn]] void refuse(const std::string& what, int error) {
  throw std::runtime_error(what + ": " + std::strerror(error));
}

template <typename T>
MappedArray<T> mapped(const bpf_map* map, std::size_t length) {
  static_assert(sizeof(T) % sizeof(std::uint64_t) == 0, "as the kernel rounds up the size of a value");
  void* memory = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
  if (memory == MAP_FAILED) refuse("cannot map the memory of a BPF map", errno);
  return {memory, length};
}
template <typename T>
MappedArray<T> mapped(const bpf_map* map) {
  return mapped<T>(map, sizeof(T) * bpf_map__max_entries(map));
}

/// One for each processor that is there. The kernel may say that hundreds more are possible: on one that is plugged in
/// later, the filter finds no stripe and passes frames to user space.
std::uint32_t stripes() {
  std::string text;  // "0-3", "0,2-5": the last number counts
  std::ifstream("/sys/devices/system/cpu/present") >> text;
  const std::size_t at = text.find_last_of(",-");
  const int last = std::atoi(text.c_str() + (at == std::string::npos ? 0 : at + 1));
  if (text.empty()) return static_cast<std::uint32_t>(std::max(libbpf_num_possible_cpus(), 1));
  return static_cast<std::uint32_t>(last + 1);
}

UniqueFd duplicate(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) refuse("no descriptor for a BPF program or map", errno);
  return copy;
}

}  // namespace

void unmap(void* memory, std::size_t length) {
  ::munmap(memory, length);
}

/// The variables of the programs.
struct Programs::Variables : std::remove_pointer_t<decltype(::fastpath::bss)> {};

Programs::Variables& Programs::variables() const {
  return *reinterpret_cast<Variables*>(&variables_[0]);
}

Programs::Programs() {
  libbpf_set_print(nullptr);  // the sentence that we throw is enough
  const std::unique_ptr<::fastpath, void (*)(::fastpath*)> object(fastpath__open(), fastpath__destroy);
  if (object == nullptr) refuse("cannot read the BPF programs", errno);
  const std::uint32_t processors = stripes();
  object->rodata->cookie = std::random_device{}();
  object->rodata->switch_mark = kSwitchMark;
  const auto& maps = object->maps;
  for (bpf_map* map : {maps.port_accounts, maps.tap_accounts, maps.drain_accounts, maps.destination_accounts,
                       maps.session_accounts})
    bpf_map__set_max_entries(map, bpf_map__max_entries(map) * processors);
  if (const int error = fastpath__load(object.get()); error != 0)
    refuse("the kernel does not take the programs of the fast path", -error);
  bridges = mapped<fastpath_bridge>(maps.bridges);
  ports = mapped<fastpath_port>(maps.ports);
  stamps = mapped<std::uint64_t>(maps.stamps);
  copy_sets = mapped<fastpath_copy_set>(maps.copy_sets);
  floods = mapped<fastpath_flood>(maps.floods);
  budgets = mapped<fastpath_budget>(maps.budgets);
  limits = mapped<fastpath_limit>(maps.limits);
  port_accounts_ = mapped<fastpath_port_account>(maps.port_accounts);
  tap_accounts_ = mapped<fastpath_tap_account>(maps.tap_accounts);
  drain_accounts_ = mapped<fastpath_drain_account>(maps.drain_accounts);
  destination_accounts_ = mapped<fastpath_destination_account>(maps.destination_accounts);
  session_accounts_ = mapped<fastpath_session_account>(maps.session_accounts);
  static_assert(sizeof(Variables) % sizeof(std::uint64_t) == 0);
  variables_ = mapped<std::uint64_t>(maps.bss, sizeof(Variables));
  filter_ = duplicate(bpf_program__fd(object->progs.vswitch_filter));
  ingress_ = duplicate(bpf_program__fd(object->progs.vswitch_ingress));
  flows_ = duplicate(bpf_map__fd(maps.flows));
  choices_ = duplicate(bpf_map__fd(maps.choices));
  try_out();
}

Programs::~Programs() = default;

bool Programs::put(const fastpath_key& key, const fastpath_flow& flow) const {
  return bpf_map_update_elem(flows_.get(), &key, &flow, BPF_ANY) == 0;
}

void Programs::remove(const fastpath_key& key) const {
  bpf_map_delete_elem(flows_.get(), &key);
}

void Programs::choose(const fastpath_headers& headers, const fastpath_choice& choice) const {
  bpf_map_update_elem(choices_.get(), &headers, &choice, BPF_NOEXIST);
}

void Programs::enable(bool on) const {
  std::atomic_ref(variables().enabled).store(on ? 1 : 0, std::memory_order_seq_cst);
}

void Programs::set_tick(std::uint32_t tick) const {
  std::atomic_ref(variables().tick).store(tick, std::memory_order_relaxed);
}

std::span<std::uint64_t> Programs::copies_sent_until() const {
  return {reinterpret_cast<std::uint64_t*>(variables().copies_sent_until), FASTPATH_WORKERS};
}

std::span<std::uint64_t> Programs::tap_sent_until() const {
  return {reinterpret_cast<std::uint64_t*>(variables().tap_sent_until), FASTPATH_WORKERS};
}

fastpath_port_account Programs::port_account(std::size_t slot) const {
  return sum(port_accounts_, FASTPATH_PORTS, slot);
}
fastpath_destination_account Programs::destination_account(std::size_t slot) const {
  return sum(destination_accounts_, FASTPATH_DESTINATIONS, slot);
}
fastpath_session_account Programs::session_account(std::size_t slot) const {
  return sum(session_accounts_, FASTPATH_SESSIONS, slot);
}
fastpath_tap_account Programs::tap_account(std::size_t slot) const {
  return sum(tap_accounts_, FASTPATH_COPY_SETS, slot);
}
std::uint64_t Programs::drained(std::size_t slot) const {
  return sum(drain_accounts_, FASTPATH_PORTS, slot).frames;
}

/// Of two frames that arrive at one device, only the second, of a known flow, leaves by the other device.
void Programs::try_out() {
  auto devices = std::make_unique<Trial>(filter_.get(), ingress_.get());
  Trial& trial = *devices;
  const std::size_t in = FASTPATH_PORTS - 2, out = FASTPATH_PORTS - 1;
  const MacAddr here = MacAddr::from_u64(0x020000000001), there = MacAddr::from_u64(0x020000000002);
  const MacAddr stranger = MacAddr::from_u64(0x020000000003);
  for (const std::size_t slot : {in, out}) {
    ports[slot].ifindex = trial.ifindex(slot - in);
    ports[slot].mtu = 1500;
    ports[slot].settled = ~std::uint64_t{0};
  }
  fastpath_key key{};
  key.ifindex = trial.ifindex(0);
  std::copy(there.octets.begin(), there.octets.end(), key.dst);
  std::copy(here.octets.begin(), here.octets.end(), key.src);
  fastpath_flow flow{};
  constexpr std::uint32_t kFlood = FASTPATH_FLOODS - 1;  // with a port that only counts
  floods[kFlood] = {
      .sends = 1, .unused = 0, .send = {{.port = out, .tag = 0, .kind = FASTPATH_SEND_REFUSED, .peer = 0}}};
  flow.decision[0] = {.generation = 1,
                      .since = 0,
                      .in = in,
                      .out = out,
                      .tag = 0,
                      .copy_set = 0,
                      .flood = kFlood,
                      .unused = 0};
  bridges[0].generation = 1;
  if (!put(key, flow)) refuse("bpf(2) refused a flow", errno);
  enable(true);
  trial.arrives(there, stranger);
  trial.arrives(there, here);
  const std::optional<MacAddr> left = trial.source_of_next();
  enable(false);
  remove(key);
  trial_ends_ = in_background([devices = std::move(devices)]() mutable { devices.reset(); });
  const fastpath_port_account account = port_account(in);
  const std::uint64_t refused = port_account(out).protected_port;
  ports[in] = ports[out] = {};
  bridges[0] = {};
  floods[kFlood] = {};
  if (left == here && account.received_frames == 1 && account.obeyed == 1 && refused == 1) return;
  throw std::runtime_error("this kernel does not hand the decision of a socket filter on to tc");
}

}  // namespace vswitch::fastpath
