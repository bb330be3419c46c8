// SPDX-License-Identifier: Apache-2.0
// The programs in the kernel. One decides, the other carries out; both see each frame once, one after the other, on the
// same processor: first the packet socket of the port (`vswitch_filter`), then tc ingress (`vswitch_ingress`). What the
// first decides travels to the second in skb->cb. README.md in this folder says why it is so, and what it rests on.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "datapath/fastpath/maps.h"

#define WHOLE_FRAME 0x40000

char LICENSE[] SEC("license") = "Apache-2.0";

const volatile __u32 cookie = 0;       // random: no other program leaves it in skb->cb by chance
const volatile __u32 switch_mark = 0;  // of what the switch sends: the egress filter lets it through
volatile __u32 enabled = 0;
volatile __u32 tick = 0;  // counts seconds, roughly
/// CLOCK_MONOTONIC, by worker: the copies of frames received before this have been sent.
volatile __u64 copies_sent_until[FASTPATH_WORKERS] = {};
/// The same of frames in its copy tap.
volatile __u64 tap_sent_until[FASTPATH_WORKERS] = {};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, FASTPATH_FLOWS);
  __type(key, struct fastpath_key);
  __type(value, struct fastpath_flow);
} flows SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, FASTPATH_CHOICES);
  __type(key, struct fastpath_headers);
  __type(value, struct fastpath_choice);
} choices SEC(".maps");

#define MAPPED_ARRAY(name, type_of_value, entries)                                              \
  struct {                                                                                      \
    __uint(type, BPF_MAP_TYPE_ARRAY);                                                           \
    __uint(map_flags, BPF_F_MMAPABLE);                                                          \
    __uint(max_entries, entries);                                                               \
    __type(key, __u32);                                                                         \
    __type(value, type_of_value);                                                               \
  } name SEC(".maps")

MAPPED_ARRAY(bridges, struct fastpath_bridge, FASTPATH_BRIDGES);
MAPPED_ARRAY(ports, struct fastpath_port, FASTPATH_PORTS);
MAPPED_ARRAY(copy_sets, struct fastpath_copy_set, FASTPATH_COPY_SETS);
MAPPED_ARRAY(budgets, struct fastpath_budget, FASTPATH_SESSIONS);
MAPPED_ARRAY(limits, struct fastpath_limit, FASTPATH_LIMITS);
MAPPED_ARRAY(floods, struct fastpath_flood, FASTPATH_FLOODS);
/// The tick of the last frame of each flow, by fastpath_flow.id.
MAPPED_ARRAY(stamps, __u64, FASTPATH_FLOWS);
/// When the last frame of a bucket of flows was passed to user space.
MAPPED_ARRAY(order, __u64, FASTPATH_ORDER);
// The accounts; the loader multiplies the number of entries by that of the processors.
MAPPED_ARRAY(port_accounts, struct fastpath_port_account, FASTPATH_PORTS);
MAPPED_ARRAY(tap_accounts, struct fastpath_tap_account, FASTPATH_COPY_SETS);
MAPPED_ARRAY(drain_accounts, struct fastpath_drain_account, FASTPATH_PORTS);
MAPPED_ARRAY(destination_accounts, struct fastpath_destination_account, FASTPATH_DESTINATIONS);
MAPPED_ARRAY(session_accounts, struct fastpath_session_account, FASTPATH_SESSIONS);

#define STRIPED(map, slots, slot)                                                               \
  ({                                                                                            \
    __u32 at = bpf_get_smp_processor_id() * (slots) + (slot);                                   \
    bpf_map_lookup_elem(&(map), &at);                                                           \
  })

static __always_inline __u32 tag_of(const struct __sk_buff *skb) {
  return skb->vlan_present ? (__u32)bpf_ntohs((__u16)skb->vlan_proto) << 16 | skb->vlan_tci : 0;
}

static __always_inline __u32 bucket_of(const struct fastpath_key *key) {
  const __u32 *words = (const __u32 *)key;
  __u32 hash = words[0] * 0x9e3779b1 ^ words[1] * 0x85ebca77 ^ words[2] * 0xc2b2ae3d ^
               words[3] * 0x27d4eb2f ^ words[4] * 0x165667b1;
  hash ^= hash >> 15;
  return hash & (FASTPATH_ORDER - 1);
}

// skb->cb on the way from one program to the other. The cookie says which of the two follows.
enum { CB_COOKIE, CB_PORTS, CB_COPY_SET, CB_TAG, CB_FLOOD };  // carry it out
enum { CB_BUCKET = 1 };                                       // user space has it
#define PASSED 0x80000000

SEC("socket")
int vswitch_filter(struct __sk_buff *skb) {
  if (skb->pkt_type == PACKET_OUTGOING) return 0;
  struct {
    __u8 dst[6], src[6];
    __be16 protocol;
  } head;
  if (bpf_skb_load_bytes(skb, 0, &head, sizeof head) < 0) return WHOLE_FRAME;
  struct fastpath_key key = {.ifindex = skb->ifindex, .tag = tag_of(skb)};
  __builtin_memcpy(key.dst, head.dst, sizeof key.dst);
  __builtin_memcpy(key.src, head.src, sizeof key.src);
  __u32 bucket = bucket_of(&key);
  __u64 *passed = bpf_map_lookup_elem(&order, &bucket);
  if (!passed) return WHOLE_FRAME;

  // No wire carries a frame without two bytes of payload, and the kernel drops it behind a tag that is part of it.
  if (skb->len < ETH_HLEN + 2) goto pass;
  struct fastpath_flow *flow = enabled ? bpf_map_lookup_elem(&flows, &key) : 0;
  if (!flow || head.protocol == bpf_htons(ETH_P_8021Q) || head.protocol == bpf_htons(ETH_P_8021AD)) goto pass;
  __u32 bridge_slot = flow->bridge;
  const struct fastpath_bridge *bridge = bpf_map_lookup_elem(&bridges, &bridge_slot);
  if (!bridge) goto pass;
  const __u64 generation = *(volatile __u64 *)&bridge->generation;
  struct fastpath_decision decision;
  if (flow->decision[0].generation == generation) {
    decision = flow->decision[0];
  } else if (flow->decision[1].generation == generation) {
    decision = flow->decision[1];
  } else {
    goto pass;
  }
  struct fastpath_port *in = bpf_map_lookup_elem(&ports, &decision.in);
  if (!in) goto pass;
  // No frame overtakes another of its flow, nor a copy another: what user space has is sent first.
  if (*passed >= in->settled) goto wait;
  if (decision.copy_set != 0 && (decision.copy_set & FASTPATH_ONLY_BY_USER) == 0) {
    __u32 worker = in->worker;
    if (worker >= FASTPATH_WORKERS || in->copied >= copies_sent_until[worker]) goto wait;
    __u64 since = decision.since;
    if (since == FASTPATH_SINCE_SWITCH) since = *(volatile __u64 *)&bridge->since;
    if (since > tap_sent_until[worker]) goto wait;
  }
  struct fastpath_port_account *account = STRIPED(port_accounts, FASTPATH_PORTS, decision.in);
  if (!account) goto pass;
  if (in->draining) in->draining = 0;
  account->received_frames += 1;
  account->received_bytes += skb->len + (key.tag ? 4 : 0);
  __u32 id = flow->id;
  __u64 *stamp = bpf_map_lookup_elem(&stamps, &id);
  if (stamp && *stamp != tick) *stamp = tick;
  skb->cb[CB_COOKIE] = cookie ^ key.ifindex;
  skb->cb[CB_PORTS] = decision.in << 16 | decision.out;
  skb->cb[CB_COPY_SET] = decision.copy_set;
  skb->cb[CB_TAG] = decision.tag;
  skb->cb[CB_FLOOD] = decision.flood;
  return 0;

wait:
  if (in->draining) {
    struct fastpath_drain_account *drained = STRIPED(drain_accounts, FASTPATH_PORTS, decision.in);
    if (drained) drained->frames += 1;
    return 0;
  }
pass:
  *passed = bpf_ktime_get_ns();  // again by the next program, when the frame is in the ring
  skb->cb[CB_COOKIE] = cookie ^ PASSED ^ key.ifindex;
  skb->cb[CB_BUCKET] = bucket;
  return WHOLE_FRAME;
}

/// Makes `want` the tag of the frame, which has `have`. False if there is no memory for that.
static __always_inline int set_tag(struct __sk_buff *skb, __u32 have, __u32 want) {
  if (have == want) return 1;
  if (have != 0 && bpf_skb_vlan_pop(skb) != 0) return 0;
  return want == 0 || bpf_skb_vlan_push(skb, bpf_htons(want >> 16), want & 0xffff) == 0;
}

/// Bytes of headers that each segment of a GSO packet repeats, Ethernet included; 0 if unknown.
static __always_inline __u32 segment_header(struct __sk_buff *skb) {
  __u32 at = ETH_HLEN;
  __u8 protocol = 0;
  if (skb->protocol == bpf_htons(ETH_P_IP)) {
    struct iphdr ip;
    if (bpf_skb_load_bytes(skb, at, &ip, sizeof ip) < 0) return 0;
    at += ip.ihl * 4;
    protocol = ip.protocol;
  } else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr ip;
    if (bpf_skb_load_bytes(skb, at, &ip, sizeof ip) < 0) return 0;
    at += sizeof ip;
    protocol = ip.nexthdr;
  }
  if (protocol == IPPROTO_TCP) {
    struct tcphdr tcp;
    if (bpf_skb_load_bytes(skb, at, &tcp, sizeof tcp) < 0) return 0;
    return at + tcp.doff * 4;
  }
  return protocol == IPPROTO_UDP ? at + sizeof(struct udphdr) : 0;
}

/// As a packet socket tests it: the device's MTU, and room for an 802.1Q tag. GSO packets fit, unless they are segmented
/// there: then `header` is that of each segment, otherwise 0.
static __always_inline int fits(const struct __sk_buff *skb, const struct fastpath_port *port, __u32 tag, __u32 header) {
  __u32 extra = tag != 0 && tag >> 16 != ETH_P_8021Q ? 4 : 0;
  if (skb->gso_size == 0) return skb->len + extra <= port->mtu + ETH_HLEN;
  return header == 0 || header + skb->gso_size + extra <= port->mtu + ETH_HLEN;
}

enum { XMIT_DROP = 1, XMIT_CN = 2 };  // NET_XMIT_*: the receiver or a queue refused it; the device is down

// Functions that are not static are verified once, for all values of their arguments, and not again wherever they are
// called: without that, the paths through all sessions and copies are more than the kernel looks at.

__noinline int has_spent(__u32 account, __u64 now) {
  const struct fastpath_budget *budget = bpf_map_lookup_elem(&budgets, &account);
  return budget && budget->scale != 0 && budget->full_at > now + FASTPATH_BURST;
}

/// The session has used the processor since `start`.
__noinline int charge(__u32 account, __u64 start) {
  struct fastpath_budget *budget = bpf_map_lookup_elem(&budgets, &account);
  if (!budget) return 0;
  const __u64 now = bpf_ktime_get_ns();
  if (budget->full_at < now) budget->full_at = now;
  __sync_fetch_and_add(&budget->full_at, (now - start) * budget->scale >> 10);
  return 0;
}

/// The bucket has no room for what takes `time` to come back.
static __always_inline int exceeds(__u64 full_at, __u64 time, __u64 burst, __u64 now) {
  return time != 0 && (full_at > now ? full_at : now) + time > now + burst;
}

static __always_inline void add_to(__u64 *full_at, __u64 time, __u64 now) {
  if (time == 0) return;
  if (*full_at < now) *full_at = now;
  __sync_fetch_and_add(full_at, time);
}

/// False if the session has copied as much as it may; otherwise the frame is charged. Processors may add at once, which
/// lets a frame too many pass; the next ones wait longer for it.
__noinline int is_within(__u32 slot, __u32 bytes) {
  struct fastpath_limit *limit = bpf_map_lookup_elem(&limits, &slot);
  if (!limit) return 1;
  const __u64 now = bpf_ktime_get_ns();
  const __u64 time = limit->byte_time == 0 ? 0 : (bytes * limit->byte_time >> 10) + 1;
  if (exceeds(limit->packets_full_at, limit->packet_time, limit->packet_burst, now) ||
      exceeds(limit->bits_full_at, time, limit->byte_burst, now))
    return 0;
  add_to(&limit->packets_full_at, limit->packet_time, now);
  add_to(&limit->bits_full_at, time, now);
  return 1;
}

/// False if all sessions for which the frame would go to the tap have used up their budgets.
__noinline int may_tap(__u32 copy_set, __u64 now) {
  const struct fastpath_copy_set *set = bpf_map_lookup_elem(&copy_sets, &copy_set);
  if (!set || set->tap_budgets == 0) return 1;
  const __u32 budgeted = set->tap_budgets;
  for (__u32 i = 0; i < FASTPATH_COPIES && i < budgeted; ++i) {
    if (!has_spent(set->tap_budget[i], now)) return 1;
  }
  return 0;
}

/// User space makes copies of it. What finds no room in the ring of the tap is known by the difference: the tap itself
/// refuses every frame, after the ring has it. Returns the tag that the frame has afterwards.
static __always_inline __u32 tap_frame(struct __sk_buff *skb, __u32 copy_set, const struct fastpath_copy_set *set,
                                       const struct fastpath_copy *copy, __u32 tag) {
  struct fastpath_port *port = bpf_map_lookup_elem(&ports, &copy->port);
  struct fastpath_tap_account *account = STRIPED(tap_accounts, FASTPATH_COPY_SETS, copy_set);
  if (!port || !account) return tag;
  const __u32 budgeted = set->tap_budgets;
  const __u64 start = budgeted == 0 ? 0 : bpf_ktime_get_ns();
  if (!may_tap(copy_set, start)) {
    account->withheld_frames += 1;
    account->withheld_bytes += skb->len + (tag ? 4 : 0);
    return tag;
  }
  account->frames += 1;
  account->bytes += skb->len + (tag ? 4 : 0);
  if (!set_tag(skb, tag, copy->tag)) return tag_of(skb);
  bpf_clone_redirect(skb, port->ifindex, 0);
  for (__u32 i = 0; i < FASTPATH_COPIES && i < budgeted; ++i) charge(set->tap_budget[i], start);
  return copy->tag;
}

/// The transport layer, which begins at `at` and has `length` bytes. False if user space must look at it.
static __always_inline int read_transport(struct __sk_buff *skb, struct fastpath_headers *headers, __u32 at,
                                          __u32 length) {
  __u32 least = 0;
  if (headers->protocol == IPPROTO_TCP) least = sizeof(struct tcphdr);
  if (headers->protocol == IPPROTO_UDP) least = sizeof(struct udphdr);
  if (headers->protocol == IPPROTO_SCTP) least = 12;
  if (headers->protocol == IPPROTO_ICMP || headers->protocol == IPPROTO_ICMPV6) least = 8;
  if (least == 0) return 1;
  __u8 first[4];
  if (length < least || bpf_skb_load_bytes(skb, at, first, sizeof first) < 0) return 0;
  if (headers->protocol == IPPROTO_ICMP || headers->protocol == IPPROTO_ICMPV6) {
    headers->src_port = bpf_htons(first[0]);
    headers->dst_port = bpf_htons(first[1]);
    return 1;
  }
  if (headers->protocol == IPPROTO_TCP) {
    __u8 offset;
    if (bpf_skb_load_bytes(skb, at + 12, &offset, 1) < 0) return 0;
    const __u32 header = (offset >> 4) * 4;
    if (header < least || header > length) return 0;
  }
  __builtin_memcpy(&headers->src_port, first, 2);
  __builtin_memcpy(&headers->dst_port, first + 2, 2);
  return 1;
}

/// As datapath/flow/flow_key.cc reads them. False if user space must look at the frame: fragments, extension headers,
/// ARP, and what is malformed.
static __always_inline int read_headers(struct __sk_buff *skb, struct fastpath_headers *headers) {
  if (bpf_skb_load_bytes(skb, 0, headers->dst, sizeof headers->dst + sizeof headers->src) < 0) return 0;
  const __u32 type = bpf_ntohs((__u16)skb->protocol);
  const __u32 rest = skb->len - ETH_HLEN;
  headers->ether_type = bpf_htons(type);
  if (type < ETH_P_802_3_MIN || type == ETH_P_ARP || type == ETH_P_RARP) return 0;
  if (type == ETH_P_IP) {
    struct iphdr ip;
    if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) < 0) return 0;
    const __u32 header = ip.ihl * 4;
    const __u32 total = bpf_ntohs(ip.tot_len);
    if (header < sizeof ip || total < header || total > rest || (ip.frag_off & bpf_htons(0x3fff)) != 0) return 0;
    headers->protocol = ip.protocol;
    headers->tos = ip.tos;
    __builtin_memcpy(headers->ip_src + 12, &ip.saddr, 4);
    __builtin_memcpy(headers->ip_dst + 12, &ip.daddr, 4);
    return ip.protocol == IPPROTO_ICMPV6 ? 0 : read_transport(skb, headers, ETH_HLEN + header, total - header);
  }
  if (type == ETH_P_IPV6) {
    struct ipv6hdr ip;
    if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) < 0) return 0;
    const __u32 length = bpf_ntohs(ip.payload_len);
    const __u8 next = ip.nexthdr;
    if (sizeof ip + length > rest) return 0;
    if (next != IPPROTO_TCP && next != IPPROTO_UDP && next != IPPROTO_SCTP && next != IPPROTO_ICMPV6) return 0;
    headers->protocol = next;
    headers->tos = (__u8)(ip.priority << 4 | ip.flow_lbl[0] >> 4);
    __builtin_memcpy(headers->ip_src, &ip.saddr, 16);
    __builtin_memcpy(headers->ip_dst, &ip.daddr, 16);
    return read_transport(skb, headers, ETH_HLEN + sizeof ip, length);
  }
  return 1;
}

/// Which sessions of the set select the frame by its header fields; null if user space has not decided.
static __always_inline struct fastpath_choice *choose(struct __sk_buff *skb, __u32 copy_set, __u32 version) {
  struct fastpath_headers headers = {.copy_set = copy_set, .version = version};
  return read_headers(skb, &headers) ? bpf_map_lookup_elem(&choices, &headers) : 0;
}

/// The copies by user space of frames with these fields have been sent, so that those by the kernel overtake none. If
/// frames never leave a gap for that, some do after a while.
static __always_inline int is_settled(struct fastpath_choice *choice, __u32 in_slot) {
  const struct fastpath_port *in = bpf_map_lookup_elem(&ports, &in_slot);
  if (!in) return 0;
  const __u32 worker = in->worker;
  if (worker >= FASTPATH_WORKERS || in->copied >= copies_sent_until[worker]) return 0;
  if (choice->made == 0) return 1;
  if (choice->tapped >= tap_sent_until[worker] && bpf_ktime_get_ns() - choice->made < FASTPATH_PATIENCE) return 0;
  choice->made = 0;
  return 1;
}

// Which copies of a set are made of a frame, a byte each: sessions that select it; of these, sessions that leave it out of
// their sample, have copied as much as they may, or have used up their budgets; forms that have been sent.
enum { SELECTED = 0, WITHHELD = 8, LIMITED = 16, SPENT = 24, SENT = 32 };
#define IS_TAPPED (1ull << 40)  // user space decides about sessions that select by header fields, or makes copies itself

/// Copy number `i` of the set. Returns the tag that the frame has afterwards, and the forms that have been sent, as above.
__noinline __u64 copy_frame(struct __sk_buff *skb, __u32 copy_set, __u32 i, __u32 tag, __u64 making) {
  const __u64 sent_forms = making & 0xffull << SENT;
  struct fastpath_copy_set *set = bpf_map_lookup_elem(&copy_sets, &copy_set);
  if (!set) return sent_forms | tag;
  const struct fastpath_copy copy = set->copy[i & (FASTPATH_COPIES - 1)];
  if (copy.kind == FASTPATH_COPY_TAPPED)
    return sent_forms | (making & IS_TAPPED ? tap_frame(skb, copy_set, set, &copy, tag) : tag);
  const __u32 session = copy.session & (FASTPATH_COPIES - 1);
  if ((making >> (SELECTED + session) & 1) == 0) return sent_forms | tag;
  struct fastpath_destination_account *account =
      STRIPED(destination_accounts, FASTPATH_DESTINATIONS, copy.destination);
  if (!account) return sent_forms | tag;
  account->matched += 1;
  if (making >> (WITHHELD + session) & 1) {
    account->sampled_out += 1;
    return sent_forms | tag;
  }
  if (making >> (LIMITED + session) & 1) {
    account->rate_limited += 1;
    return sent_forms | tag;
  }
  if (making >> (SPENT + session) & 1) {
    account->cpu_budget += 1;
    return sent_forms | tag;
  }
  const __u64 form = 1ull << (SENT + (copy.form & (FASTPATH_COPIES - 1)));
  if (sent_forms & form) {
    account->duplicate += 1;
    return sent_forms | tag;
  }
  struct fastpath_port *port = bpf_map_lookup_elem(&ports, &copy.port);
  if (!port) {
    account->link_down += 1;
    return sent_forms | form | tag;
  }
  const int is_segmented = copy.kind == FASTPATH_COPY_SEGMENTED && skb->gso_size != 0;
  const __u32 header = is_segmented ? segment_header(skb) : 0;
  if (!fits(skb, port, copy.tag, is_segmented && header < ETH_HLEN ? ETH_HLEN : header)) {
    account->too_big += 1;
    return sent_forms | form | tag;
  }
  if (!set_tag(skb, tag, copy.tag)) {
    account->no_buffers += 1;
    return sent_forms | form | tag_of(skb);
  }
  __u32 packets = 1;
  __u32 bytes = skb->len + (copy.tag ? 4 : 0);
  if (is_segmented && skb->gso_segs > 1) {
    packets = skb->gso_segs;
    bytes += (packets - 1) * (header + (copy.tag ? 4 : 0));
  }
  const struct fastpath_session *payer = &set->session[session];
  const __u64 start = payer->has_budget ? bpf_ktime_get_ns() : 0;
  const long result = bpf_clone_redirect(skb, port->ifindex, port->redirect);
  if (start != 0) charge(payer->account, start);
  if (result == 0) {
    account->delivered += 1;
    account->packets += packets;
    account->bytes += bytes;
    struct fastpath_port_account *sent = STRIPED(port_accounts, FASTPATH_PORTS, copy.port);
    if (sent) {
      sent->sent_frames += packets;
      sent->sent_bytes += bytes;
      sent->copies_sent += packets;
    }
  } else if (result == XMIT_DROP) {
    account->no_buffers += 1;
  } else {
    account->link_down += 1;
  }
  return sent_forms | form | copy.tag;
}

/// The frame is in the ring now, so if user space finds the ring empty after this, it has taken the frame.
static __always_inline void note_passed(const struct __sk_buff *skb) {
  __u32 bucket = skb->cb[CB_BUCKET];
  __u64 *passed = bpf_map_lookup_elem(&order, &bucket);
  if (passed) *passed = bpf_ktime_get_ns();
}

/// Session number `i` of the set, and its account. `selected` and `counted`: those of a choice. Returns bits: it selects the
/// frame, withholds it, is limited, has spent its budget.
__noinline int ask_session(__u32 copy_set, __u32 i, __u32 selected, __u32 counted, __u32 bytes) {
  enum { SELECTS = 1, WITHHOLDS = 2, IS_LIMITED = 4, HAS_SPENT = 8 };
  struct fastpath_copy_set *set = bpf_map_lookup_elem(&copy_sets, &copy_set);
  if (!set) return 0;
  const struct fastpath_session session = set->session[i & (FASTPATH_COPIES - 1)];
  __u32 counts = session.counts;
  if (session.rule != 0) {
    if ((selected & session.rule) == 0) return 0;
    counts = counted & session.rule;
  }
  if (session.sample > 1 && bpf_get_prandom_u32() % session.sample != 0) return SELECTS | WITHHOLDS;
  if (session.limit != 0 && !is_within(session.limit, bytes)) return SELECTS | IS_LIMITED;
  const int spent = session.has_budget && has_spent(session.account, bpf_ktime_get_ns()) ? HAS_SPENT : 0;
  struct fastpath_session_account *account = STRIPED(session_accounts, FASTPATH_SESSIONS, session.account);
  if (account && counts != 0) {
    account->frames += 1;
    account->bytes += bytes;
  }
  return SELECTS | spent;
}

/// Returns the tag that the frame has afterwards.
static __always_inline __u32 copy_all(struct __sk_buff *skb, __u32 copy_set, __u32 in_slot, __u32 tag) {
  struct fastpath_copy_set *set = bpf_map_lookup_elem(&copy_sets, &copy_set);
  if (!set) return tag;
  skb->mark = switch_mark;
  struct fastpath_choice *choice = set->version != 0 ? choose(skb, copy_set, set->version) : 0;
  const int is_chosen = choice && is_settled(choice, in_slot);
  const __u32 selected = is_chosen ? choice->selected : 0, counted = is_chosen ? choice->counted : 0;
  const __u32 bytes = skb->len + (tag ? 4 : 0);
  __u64 making = is_chosen ? 0 : IS_TAPPED;
  const __u32 sessions = set->sessions;
  for (__u32 i = 0; i < FASTPATH_COPIES && i < sessions; ++i) {
    const __u64 answer = (__u32)ask_session(copy_set, i, selected, counted, bytes);
    making |= ((answer & 1) << SELECTED | (answer >> 1 & 1) << WITHHELD | (answer >> 2 & 1) << LIMITED |
               (answer >> 3 & 1) << SPENT)
              << i;
  }
  const __u32 copies = set->copies;
  for (__u32 i = 0; i < FASTPATH_COPIES && i < copies; ++i) {
    const __u64 result = copy_frame(skb, copy_set, i, tag, making);
    tag = (__u32)result;
    making |= result & 0xffull << SENT;
  }
  if (choice && !is_chosen) choice->tapped = bpf_ktime_get_ns();  // it is in the tap now
  return tag;
}

/// Makes a production frame fit for its port: its tag, and the mark that the egress filter of the port lets through, which
/// is not for the host. False if it is lost.
static __always_inline int prepare(struct __sk_buff *skb, const struct fastpath_port *port,
                                   struct fastpath_port_account *account, __u32 *tag, __u32 want) {
  if (!fits(skb, port, want, 0)) {
    account->too_big += 1;
    return 0;
  }
  if (!set_tag(skb, *tag, want)) {
    *tag = tag_of(skb);
    account->send_error += 1;
    return 0;
  }
  *tag = want;
  skb->mark = port->redirect & BPF_F_INGRESS ? 0 : switch_mark;
  return 1;
}

/// The frame, to port number `i` of the list. `arrived`: bytes, with the tag that it had then. Returns the tag that the
/// frame has afterwards.
__noinline __u32 send_frame(struct __sk_buff *skb, __u32 flood_slot, __u32 i, __u32 arrived, __u32 tag) {
  struct fastpath_flood *list = bpf_map_lookup_elem(&floods, &flood_slot);
  if (!list) return tag;
  const struct fastpath_send send = list->send[i & (FASTPATH_SENDS - 1)];
  __u32 slot = send.port;
  struct fastpath_port *port = bpf_map_lookup_elem(&ports, &slot);
  struct fastpath_port_account *account = STRIPED(port_accounts, FASTPATH_PORTS, slot);
  if (!port || !account) return tag;
  if (send.kind == FASTPATH_SEND_REFUSED) {
    account->protected_port += 1;
    return tag;
  }
  if (send.kind == FASTPATH_SEND_CROSSES) {
    __u32 peer_slot = send.peer;
    struct fastpath_port_account *peer = STRIPED(port_accounts, FASTPATH_PORTS, peer_slot);
    if (!peer) return tag;
    account->sent_frames += 1;
    account->sent_bytes += arrived;
    peer->crossed_frames += 1;
    peer->crossed_bytes += arrived;
    return tag;
  }
  if (!prepare(skb, port, account, &tag, send.tag)) return tag;
  const __u32 bytes = skb->len + (tag ? 4 : 0);
  const long result = bpf_clone_redirect(skb, port->ifindex, port->redirect);
  if (result == 0) {
    account->sent_frames += 1;
    account->sent_bytes += bytes;
  } else if (result == XMIT_DROP) {
    account->no_buffers += 1;
  } else {
    account->link_down += 1;
  }
  return tag;
}

/// To all ports but the last. Returns the tag that the frame has afterwards.
static __always_inline __u32 flood(struct __sk_buff *skb, __u32 slot, __u32 arrived, __u32 tag) {
  struct fastpath_flood *list = bpf_map_lookup_elem(&floods, &slot);
  if (!list) return tag;
  const __u32 sends = list->sends;
  for (__u32 i = 0; i < FASTPATH_SENDS && i < sends; ++i) tag = send_frame(skb, slot, i, arrived, tag);
  return tag;
}

SEC("tc")
int vswitch_ingress(struct __sk_buff *skb) {
  const __u32 mine = cookie ^ skb->ifindex;
  if (skb->cb[CB_COOKIE] != mine) {  // not for the host's stack
    if (skb->cb[CB_COOKIE] == (mine ^ PASSED)) note_passed(skb);
    return TC_ACT_SHOT;
  }
  skb->cb[CB_COOKIE] = 0;
  const __u32 in_slot = skb->cb[CB_PORTS] >> 16;
  const __u32 out_slot = skb->cb[CB_PORTS] & 0xffff;
  const __u32 copy_set = skb->cb[CB_COPY_SET] & ~FASTPATH_ONLY_BY_USER;
  const __u32 want = skb->cb[CB_TAG];
  const __u32 flood_slot = skb->cb[CB_FLOOD];
  __u32 tag = tag_of(skb);
  const __u32 bytes = skb->len + (tag ? 4 : 0);
  struct fastpath_port_account *arrived = STRIPED(port_accounts, FASTPATH_PORTS, in_slot);
  if (!arrived) return TC_ACT_SHOT;
  arrived->obeyed += 1;

  if (copy_set != 0) tag = copy_all(skb, copy_set, in_slot, tag);
  if (flood_slot != 0) tag = flood(skb, flood_slot, bytes, tag);

  struct fastpath_port *out = bpf_map_lookup_elem(&ports, &out_slot);
  struct fastpath_port_account *left = STRIPED(port_accounts, FASTPATH_PORTS, out_slot);
  if (!out || !left || !prepare(skb, out, left, &tag, want)) return TC_ACT_SHOT;
  left->sent_frames += 1;
  left->sent_bytes += skb->len + (want ? 4 : 0);
  return (int)bpf_redirect(out->ifindex, out->redirect);
}
