/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs in the kernel (fastpath.bpf.c) and the C++ side share: the layout of the maps. C, and plain: both
 * compilers give it the same layout, because every field is aligned to its size and nothing is left to padding. */
#ifndef VSWITCH_FASTPATH_MAPS_H
#define VSWITCH_FASTPATH_MAPS_H

#include <linux/types.h>

/* Sizes of the maps. Slot 0 of copy sets, of floods and of limits means "none". */
enum {
  FASTPATH_PORTS = 4096, /* ports, by PortNo: a port beyond FASTPATH_FIRST_COPY_TAP goes through user space */
  FASTPATH_BRIDGES = 1024,
  FASTPATH_FLOWS = 65536,       /* known flows */
  FASTPATH_COPY_SETS = 1024,    /* different sets of copies */
  FASTPATH_DESTINATIONS = 2048, /* destinations of sessions that have an account here */
  FASTPATH_SESSIONS = 1024,     /* the same for sessions */
  FASTPATH_LIMITS = 1024,       /* rates of sessions */
  FASTPATH_COPIES = 8,          /* copies, and sessions, in a set */
  FASTPATH_FLOODS = 1024,   /* different lists of ports where a frame leaves before it leaves at the last */
  FASTPATH_SENDS = 16,      /* ports in such a list */
  FASTPATH_CHOICES = 65536, /* header fields whose sessions are known; the kernel forgets the oldest */
  FASTPATH_ORDER = 16384,   /* buckets of the order map; a power of two */
  FASTPATH_WORKERS = 64,
  FASTPATH_BURST = 10000000,    /* ns for which a budget may be spent at once */
  FASTPATH_PATIENCE = 20000000, /* ns that a choice waits for all earlier copies to be sent */
  FASTPATH_FIRST_COPY_TAP =
      FASTPATH_PORTS - FASTPATH_WORKERS - 2, /* slots of ports: the copy taps, by worker */
};

/* A frame belongs to a flow by the device where it arrives, its outer tag (TPID << 16 | TCI; 0 = untagged) and its
 * addresses. No second tag. */
struct fastpath_key {
  __u32 ifindex;
  __u32 tag;
  __u8 dst[6];
  __u8 src[6];
};

/* The time of fastpath_decision.since is that of the bridge. */
#define FASTPATH_SINCE_SWITCH (~0ull)

/* What is done with its frames while `generation` is that of the bridge. */
struct fastpath_decision {
  __u64 generation;
  /* CLOCK_MONOTONIC: copies by user space of frames that were tapped before this time leave before copies by the kernel.
   * 0 = none were tapped. */
  __u64 since;
  __u32 in, out;  /* slots of ports */
  __u32 tag;      /* with which the frame leaves at `out`; 0 = untagged */
  __u32 copy_set; /* 0 = no copies */
  __u32 flood;    /* where it leaves before; 0 = nowhere */
  __u32 unused;
};

/* A bit of fastpath_decision.copy_set: user space makes all the copies, so that they overtake none. */
#define FASTPATH_ONLY_BY_USER 0x80000000u

/* Two decisions: that of the settings in effect, and one that was prepared for those that come. */
struct fastpath_flow {
  struct fastpath_decision decision[2];
  __u32 bridge; /* slot */
  __u32 id;     /* of its stamp */
};

/* The settings of a bridge; a store switches all its flows at once. */
struct fastpath_bridge {
  __u64 generation; /* 0 = no flow is valid */
  __u64 since;      /* CLOCK_MONOTONIC: no frame that was tapped by older settings came later than this */
};

/* A port, in memory that both sides have mapped. */
struct fastpath_port {
  __u64 settled; /* CLOCK_MONOTONIC: frames that the filter passed to user space before this have been sent */
  __u64 copied;  /* when copies of its frames were queued last */
  __u32 ifindex;
  __u32 mtu;
  __u32 worker;   /* whose copies `copied` is about */
  __u32 draining; /* frames of known flows are dropped until one need not wait */
  __u32 redirect; /* flags of bpf_redirect(): BPF_F_INGRESS for an internal port, where the host receives */
  __u32 unused0;
  __u64 unused[2];
};

enum {
  FASTPATH_SEND_SENT,
  FASTPATH_SEND_REFUSED, /* it only counts: both ports are protected */
  FASTPATH_SEND_CROSSES, /* it only counts: the port is a patch port, and the frame goes on in the peer's bridge */
};

/* Where a frame leaves besides its last port. */
struct fastpath_send {
  __u32 port; /* slot */
  __u32 tag;
  __u32 kind;
  __u32 peer; /* slot, if it crosses */
};

struct fastpath_flood {
  __u32 sends; /* how many */
  __u32 unused;
  struct fastpath_send send[FASTPATH_SENDS];
};

enum {
  FASTPATH_COPY_SENT,      /* by the kernel */
  FASTPATH_COPY_SEGMENTED, /* by the kernel, which segments a GSO packet for this port */
  FASTPATH_COPY_TAPPED, /* the frame goes to a copy tap, with a tag that names the set (FASTPATH_SET_TAG) */
};

/* The copy of a frame that one session makes for one destination, or that all others are made of. */
struct fastpath_copy {
  __u32 destination; /* slot of its account; not if it is tapped */
  __u32 port;        /* where it leaves */
  __u32 tag;         /* as in fastpath_flow */
  __u32 kind;
  __u32 form;    /* the first of the set for the same port in the same form: only one of these is sent */
  __u32 session; /* position in fastpath_copy_set.session */
};

struct fastpath_session {
  __u32 account; /* slot */
  __u32 rule;    /* a bit of fastpath_choice.selected and .counted; 0 = every frame */
  __u32 sample;  /* one frame in so many is copied */
  __u32 counts;  /* 0: other sessions copy the frame already to all its destinations (if rule is 0) */
  __u32 has_budget;
  __u32 limit; /* slot; 0 = none */
};

/* How much a session may copy in a second: token buckets, which user space uses too (RateLimit). */
struct fastpath_limit {
  __u64 packets_full_at, bits_full_at; /* RateLimit::Buckets */
  __u64 packet_time, packet_burst;     /* ns; 0 = any number */
  __u64 byte_time, byte_burst;         /* ns times 1024, ns; 0 = any length */
};

/* Processor time that the copies of a session may take, by slot of its account: a token bucket, as the time at which it
 * will be full again (datapath/mirror/limits.h). Processors may add at once, which lets a little too much pass. */
struct fastpath_budget {
  __u64 full_at; /* CLOCK_MONOTONIC */
  __u64 scale;   /* ns by which a ns of work moves it, times 1024 */
};

/* The tag of a frame in a copy tap: 802.1Q, and the slot of the copy set as TCI. */
#define FASTPATH_SET_TAG(slot) (0x81000000u | (slot))

struct fastpath_copy_set {
  __u32 copies, sessions; /* how many */
  __u32 version;          /* some sessions select by header fields: part of fastpath_headers; otherwise 0 */
  __u32
      tap_budgets; /* the frame is not tapped while these sessions have used up their budgets; 0 = it always is */
  struct fastpath_copy copy[FASTPATH_COPIES];
  struct fastpath_session session[FASTPATH_COPIES];
  __u32 tap_budget[FASTPATH_COPIES]; /* slots of accounts */
};

/* The fields by which sessions of a copy set may select a frame, in network order. */
struct fastpath_headers {
  __u32 copy_set, version;
  __u8 dst[6], src[6];
  __u16 ether_type;
  __u8 protocol, tos;
  __u8 ip_src[16], ip_dst[16]; /* an IPv4 address is at the end */
  __u16 src_port, dst_port;    /* or type and code of ICMP */
};

/* What user space has decided about a frame with these fields. */
struct fastpath_choice {
  __u64 made;   /* CLOCK_MONOTONIC; 0 = the kernel makes the copies */
  __u64 tapped; /* until then: when a frame went to the tap last */
  __u32 selected, counted;
};

/* Accounts. Each processor has its own stripe: index = processor * number of slots + slot. */
struct fastpath_port_account {
  __u64 received_frames, received_bytes; /* taken by the filter */
  __u64 obeyed;                          /* of received_frames: carried out by the tc program */
  __u64 sent_frames, sent_bytes;         /* production and copies, as given to the device */
  __u64 copies_sent;                     /* of sent_frames */
  __u64 crossed_frames, crossed_bytes;   /* of a patch port: they came from its peer */
  /* Production frames that should have left here. */
  __u64 too_big, send_error, no_buffers, link_down, protected_port;
};

struct fastpath_destination_account {
  __u64 matched, delivered;
  __u64 packets, bytes; /* delivered; more packets than copies if GSO packets are segmented */
  __u64 duplicate, no_buffers, link_down, too_big, sampled_out, rate_limited, cpu_budget;
};

struct fastpath_session_account {
  __u64 frames, bytes;
};

/* Frames that were handed to a copy tap, by copy set. */
struct fastpath_tap_account {
  __u64 frames, bytes;
  __u64 withheld_frames, withheld_bytes; /* for want of a budget */
};

/* Frames of known flows that were dropped while user space caught up, by port. */
struct fastpath_drain_account {
  __u64 frames;
};

#endif
