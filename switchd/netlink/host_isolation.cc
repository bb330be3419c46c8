// SPDX-License-Identifier: Apache-2.0
// clsact, two eBPF programs and the bookkeeping in the filters' names.
#include "switchd/netlink/host_isolation.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <set>
#include <span>
#include <stdexcept>
#include <utility>

#include "datapath/base/switch_mark.h"
#include "datapath/base/unique_fd.h"
#include "switchd/netlink/isolation_owner.h"
#include "switchd/netlink/netlink_socket.h"
#include "switchd/netlink/tcx.h"

namespace vswitch::netlink {
namespace {

constexpr std::uint32_t kIngress = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
constexpr std::uint32_t kEgress = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);
constexpr std::uint32_t kLastPrecedence = 16;  // tried from 1 upwards
constexpr int kListTries = 3;                  // things may change while the kernel lists them
constexpr const char* kNotFirst =
    "filters of another program come before those of the switch on the device (tc filter show): what they "
    "let "
    "through, the host's own stack sees and sends";
constexpr const char* kBehindTcx =
    "a program attached by tcx comes before the filters of the switch on the device: what it lets through, "
    "the host's "
    "own stack sees and sends";
constexpr const char* kStillSees = "the host's own stack still sees the device: ";

// --------------------------------------------------------------------------------------------------------------
// programs

constexpr bpf_insn instruction(int code, std::uint8_t dst, std::uint8_t src, std::int16_t offset,
                               std::int32_t value) {
  bpf_insn result{};
  result.code = static_cast<std::uint8_t>(code);
  result.dst_reg = dst & 0xf;
  result.src_reg = src & 0xf;
  result.off = offset;
  result.imm = value;
  return result;
}

constexpr bpf_insn set_register(std::uint8_t reg, std::int32_t value) {
  return instruction(BPF_ALU64 | BPF_MOV | BPF_K, reg, 0, 0, value);
}
constexpr bpf_insn leave() {
  return instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

constexpr std::int16_t kMarkOffset = offsetof(__sk_buff, mark);

/// return TC_ACT_SHOT
constexpr std::array kDropAll{set_register(0, TC_ACT_SHOT), leave()};

/// if (skb->mark != kSwitchMark) return TC_ACT_SHOT; skb->mark = 0; return TC_ACT_UNSPEC (later filters
/// decide)
constexpr std::array kDropForeign{
    instruction(BPF_LDX | BPF_MEM | BPF_W, 0, 1, kMarkOffset, 0),
    instruction(BPF_JMP | BPF_JNE | BPF_K, 0, 0, 4, static_cast<std::int32_t>(kSwitchMark)),
    set_register(2, 0),
    instruction(BPF_STX | BPF_MEM | BPF_W, 1, 2, kMarkOffset, 0),
    set_register(0, TC_ACT_UNSPEC),
    leave(),
    set_register(0, TC_ACT_SHOT),
    leave(),
};

/// Returns no descriptor and sets errno if bpf(2) is not permitted.
UniqueFd load(std::span<const bpf_insn> program, const char* name) {
  constexpr char kLicense[] = "Apache-2.0";
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_SCHED_CLS;
  attributes.insn_cnt = static_cast<std::uint32_t>(program.size());
  attributes.insns = reinterpret_cast<std::uint64_t>(program.data());
  attributes.license = reinterpret_cast<std::uint64_t>(kLicense);
  std::strncpy(attributes.prog_name, name, sizeof attributes.prog_name - 1);
  return UniqueFd(static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes)));
}

struct Filter {
  std::uint32_t handle = 0;
  std::uint32_t info = 0;  // precedence and protocol
  std::optional<IsolationOwner> owner;
};

/// Has "clsact" or "ingress".
struct Qdisc {
  int ifindex = 0;
  std::string kind;
};

/// The kernel's answer to what must not fail unnoticed.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace

class HostIsolation::Impl {
 public:
  Impl(std::string rundir, int ingress_program)
      : self_(IsolationOwner::of_this_process(std::move(rundir))), lives_(self_) {
    if (ingress_program >= 0) drop_all_ = UniqueFd(::fcntl(ingress_program, F_DUPFD_CLOEXEC, 0));
  }

  ~Impl() {
    for (const int ifindex : std::set(isolated_)) release(ifindex);
  }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  /// Adds what is missing. Nothing is in the ordinary case, which costs two lists of filters.
  Isolation isolate(int ifindex) {
    if (std::optional<std::string> refusal = load_programs()) return {.trouble = std::move(refusal)};
    try {
      IsolationOwner owner = self_;
      std::vector<std::uint32_t> missing;
      bool comes_first = true;
      for (const std::uint32_t parent : {kIngress, kEgress}) {
        const std::vector<Filter> found = filters(ifindex, parent);
        const auto mine = std::find_if(found.begin(), found.end(), [this](const Filter& one) {
          return one.owner && one.owner->is(self_);
        });
        if (mine == found.end()) {
          missing.push_back(parent);
          continue;
        }
        owner.made_clsact = owner.made_clsact || mine->owner->made_clsact;
        comes_first = comes_first && std::none_of(found.begin(), mine, is_of_somebody_else);
      }
      if (missing.empty()) return {.trouble = what_comes_before(ifindex, comes_first)};
      return add(ifindex, std::move(missing), owner);
    } catch (const Refused& error) {
      return {.trouble = std::string(kStillSees) + error.what()};
    }
  }

  std::optional<std::string> release(int ifindex) {
    if (!isolated_.contains(ifindex)) return std::nullopt;
    try {
      remove(ifindex, [&](const IsolationOwner& owner) { return owner.is(self_); });
    } catch (const Refused& error) {
      return "device " + std::to_string(ifindex) +
             " is still isolated from the host's stack: " + error.what();
    }
    isolated_.erase(ifindex);
    return std::nullopt;
  }

  std::vector<std::string> clean_leftovers() {
    std::vector<std::string> cleaned;
    for (const Qdisc& qdisc : ingress_qdiscs(0)) {
      const std::optional<IsolationOwner> owner =
          remove(qdisc.ifindex, [this](const IsolationOwner& one) { return !lives_.lives(one); });
      if (!owner) continue;
      cleaned.push_back("device " + name_of(qdisc.ifindex) + " returned to the host's stack: process " +
                        std::to_string(owner->pid) + " (run directory " + owner->rundir +
                        "), which has ended, had isolated it");
    }
    return cleaned;
  }

  std::vector<std::string> others() {
    std::vector<std::string> found;
    for (const Qdisc& qdisc : ingress_qdiscs(0)) {
      for (const Filter& filter : filters(qdisc.ifindex, kIngress)) {
        if (!filter.owner || filter.owner->is(self_)) continue;
        found.push_back("device " + name_of(qdisc.ifindex) + " stays a port: process " +
                        std::to_string(filter.owner->pid) + " (run directory " + filter.owner->rundir +
                        ") lives");
      }
    }
    return found;
  }

 private:
  static std::string name_of(int ifindex) {
    char name[IF_NAMESIZE];
    return ::if_indextoname(static_cast<unsigned>(ifindex), name) == nullptr ? std::to_string(ifindex) : name;
  }

  std::string ingress_kind(int ifindex) {
    const std::vector<Qdisc> qdiscs = ingress_qdiscs(ifindex);
    return qdiscs.empty() ? "" : qdiscs.front().kind;
  }

  /// Not the head of a list (handle 0), and not of another daemon.
  static bool is_of_somebody_else(const Filter& filter) { return filter.handle != 0 && !filter.owner; }

  static std::optional<std::string> what_comes_before(int ifindex, bool is_first_filter) {
    if (!is_first_filter) return kNotFirst;
    if (has_tcx_program(ifindex, TcxHook::ingress) || has_tcx_program(ifindex, TcxHook::egress))
      return kBehindTcx;
    return std::nullopt;
  }

  /// Of all or none.
  Isolation add(int ifindex, std::vector<std::uint32_t> parents, IsolationOwner owner) {
    const std::string kind = ingress_kind(ifindex);
    // An ingress queueing discipline has one list of filters, for what arrives.
    if (kind == "ingress") std::erase(parents, kEgress);
    Isolation result{.was_lost = !parents.empty() && isolated_.contains(ifindex)};
    if (kind.empty()) {
      if (const auto refusal = change_clsact(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex)) {
        result.trouble = kStillSees + ("cannot add a clsact queueing discipline: " + refusal->text);
        return result;
      }
      owner.made_clsact = true;
    }
    isolated_.insert(ifindex);
    for (const std::uint32_t parent : parents) {
      const auto refusal = add_filter(ifindex, parent, parent == kIngress ? drop_all_ : drop_foreign_, owner);
      if (!refusal) continue;
      (void)release(ifindex);
      result.trouble = kStillSees + ("cannot add a filter: " + refusal->text);
      return result;
    }
    if (kind == "ingress")
      result.trouble =
          "the host's own stack may still send on the device: its ingress queueing discipline, which is not "
          "ours, leaves no room for clsact";
    else if (!parents.empty())
      result.trouble = isolate(ifindex).trouble;  // which filter comes first
    return result;
  }

  std::optional<std::string> load_programs() {
    if (!drop_all_) drop_all_ = load(kDropAll, "vswitch_ingress");
    if (drop_all_ && !drop_foreign_) drop_foreign_ = load(kDropForeign, "vswitch_egress");
    if (drop_foreign_) return std::nullopt;
    return std::string(
               "the host's own stack still sees the devices of the switch: bpf(2) refused the program that "
               "keeps "
               "it away: ") +
           std::strerror(errno);
  }

  static tcmsg tc_header(int ifindex, std::uint32_t parent) {
    tcmsg header{};
    header.tcm_family = AF_UNSPEC;
    header.tcm_ifindex = ifindex;
    header.tcm_parent = parent;
    return header;
  }

  /// Lists objects of the kernel; `read` converts each message. Throws Refused: objects missing from half
  /// a list would be taken for nonexistent.
  template <typename Item>
  std::vector<Item> list(const char* what, const NetlinkMessage& message,
                         const std::function<std::optional<Item>(nlmsghdr*)>& read) {
    std::optional<NetlinkRefusal> refusal;
    for (int tries = 0; tries < kListTries; ++tries) {
      std::vector<Item> found;
      refusal = netlink_.dump(message, [&](const nlmsghdr& header) {
        if (auto item = read(const_cast<nlmsghdr*>(&header))) found.push_back(std::move(*item));
      });
      if (!refusal) return found;
      if (refusal->error != EAGAIN) break;
    }
    throw Refused(std::string("cannot list ") + what + ": " + refusal->text);
  }

  /// The "clsact" or "ingress" of each device that has one; of one device unless `ifindex` is 0.
  std::vector<Qdisc> ingress_qdiscs(int ifindex) {
    return list<Qdisc>(
        "queueing disciplines", NetlinkMessage(RTM_GETQDISC, 0, tc_header(ifindex, 0)),
        [ifindex](nlmsghdr* received) -> std::optional<Qdisc> {
          const auto& tc = *static_cast<const tcmsg*>(nlmsg_data(received));
          nlattr* kind = nlmsg_find_attr(received, sizeof tc, TCA_KIND);
          // TC_H_CLSACT is TC_H_INGRESS. Some kernels list all devices whatever was requested.
          if (kind == nullptr || tc.tcm_parent != TC_H_CLSACT || (ifindex != 0 && tc.tcm_ifindex != ifindex))
            return std::nullopt;
          return Qdisc{tc.tcm_ifindex, nla_get_string(kind)};
        });
  }

  std::optional<NetlinkRefusal> change_clsact(int type, int flags, int ifindex) {
    tcmsg header = tc_header(ifindex, TC_H_CLSACT);
    header.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
    const NetlinkMessage message(type, flags, header);
    nla_put_string(message.get(), TCA_KIND, "clsact");
    return netlink_.request(message);
  }

  /// Before the filters of others, except if filters of another kind have taken a precedence.
  std::optional<NetlinkRefusal> add_filter(int ifindex, std::uint32_t parent, const UniqueFd& program,
                                           const IsolationOwner& owner) {
    std::optional<NetlinkRefusal> refusal;
    for (std::uint32_t precedence = 1; precedence <= kLastPrecedence; ++precedence) {
      tcmsg header = tc_header(ifindex, parent);
      header.tcm_info = TC_H_MAKE(precedence << 16, htons(ETH_P_ALL));
      const NetlinkMessage message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, header);
      nla_put_string(message.get(), TCA_KIND, "bpf");
      nlattr* options = nla_nest_start(message.get(), TCA_OPTIONS);
      nla_put_u32(message.get(), TCA_BPF_FD, static_cast<std::uint32_t>(program.get()));
      nla_put_string(message.get(), TCA_BPF_NAME, owner.to_string().c_str());
      nla_put_u32(message.get(), TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
      nla_nest_end(message.get(), options);
      refusal = netlink_.request(message);
      if (!refusal || refusal->error != EINVAL) break;
    }
    return refusal;
  }

  std::vector<Filter> filters(int ifindex, std::uint32_t parent) {
    return list<Filter>(
        "filters", NetlinkMessage(RTM_GETTFILTER, 0, tc_header(ifindex, parent)),
        [](nlmsghdr* received) -> std::optional<Filter> {
          const auto& tc = *static_cast<const tcmsg*>(nlmsg_data(received));
          Filter filter{tc.tcm_handle, tc.tcm_info, std::nullopt};
          nlattr* options = nlmsg_find_attr(received, sizeof tc, TCA_OPTIONS);
          nlattr* kind = nlmsg_find_attr(received, sizeof tc, TCA_KIND);
          if (options != nullptr && kind != nullptr && std::strcmp(nla_get_string(kind), "bpf") == 0) {
            nlattr* name = nla_find(static_cast<nlattr*>(nla_data(options)), nla_len(options), TCA_BPF_NAME);
            if (name != nullptr) filter.owner = IsolationOwner::parse(nla_get_string(name));
          }
          return filter;
        });
  }

  /// Removes the filters whose owner `matches`, and the clsact if an owner had created it and nothing else
  /// uses it. Returns an owner of what was removed. Throws Refused.
  std::optional<IsolationOwner> remove(int ifindex,
                                       const std::function<bool(const IsolationOwner&)>& matches) {
    std::optional<IsolationOwner> removed;
    bool made_clsact = false;
    for (const std::uint32_t parent : {kIngress, kEgress}) {
      for (const Filter& filter : filters(ifindex, parent)) {
        if (!filter.owner || !matches(*filter.owner)) continue;
        tcmsg header = tc_header(ifindex, parent);
        header.tcm_handle = filter.handle;
        header.tcm_info = filter.info;
        const NetlinkMessage message(RTM_DELTFILTER, 0, header);
        nla_put_string(message.get(), TCA_KIND, "bpf");
        const std::optional<NetlinkRefusal> refusal = netlink_.request(message);
        if (refusal && refusal->error != ENOENT && refusal->error != ENODEV)
          throw Refused("cannot remove a filter: " + refusal->text);
        made_clsact = made_clsact || filter.owner->made_clsact;
        removed = filter.owner;
      }
    }
    if (made_clsact && filters(ifindex, kIngress).empty() && filters(ifindex, kEgress).empty()) {
      change_clsact(RTM_DELQDISC, 0, ifindex);
    }
    return removed;
  }

  NetlinkSocket netlink_;
  const IsolationOwner self_;
  const SignOfLife lives_;
  std::set<int> isolated_;  // by ifindex
  UniqueFd drop_all_;
  UniqueFd drop_foreign_;
};

HostIsolation::HostIsolation(std::string rundir, int ingress_program)
    : impl_(std::make_unique<Impl>(std::move(rundir), ingress_program)) {}
HostIsolation::~HostIsolation() = default;

std::optional<std::string> HostIsolation::isolate(int ifindex) {
  return impl_->isolate(ifindex).trouble;
}
Isolation HostIsolation::look(int ifindex) {
  return impl_->isolate(ifindex);
}
std::optional<std::string> HostIsolation::release(int ifindex) {
  return impl_->release(ifindex);
}
std::vector<std::string> HostIsolation::clean_leftovers() {
  return impl_->clean_leftovers();
}
std::vector<std::string> HostIsolation::others() {
  return impl_->others();
}

}  // namespace vswitch::netlink
