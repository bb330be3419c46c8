/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs in the kernel (fastpath.bpf.c) and the C++ side share: the layout of the maps. C, and plain: both
 * compilers give it the same layout, because every field is aligned to its size and nothing is left to padding. */
#ifndef VSWITCH_FASTPATH_MAPS_H
#define VSWITCH_FASTPATH_MAPS_H

#include <linux/types.h>

/* Sizes of the maps. Slot 0 of copy sets means "no copies". */
enum {
  FASTPATH_PORTS = 4096, /* ports, by PortNo: a port beyond that takes the way through user space */
  FASTPATH_BRIDGES = 1024,
  FASTPATH_FLOWS = 65536,       /* known flows */
  FASTPATH_COPY_SETS = 1024,    /* different sets of copies */
  FASTPATH_DESTINATIONS = 2048, /* destinations of sessions that have an account here */
  FASTPATH_SESSIONS = 1024,     /* the same for sessions */
  FASTPATH_COPIES = 8,          /* copies, and sessions, in a set */
  FASTPATH_ORDER = 16384,       /* buckets of the order map; a power of two */
  FASTPATH_WORKERS = 64,
};

/* A frame belongs to a flow by the device where it arrives, its outer tag (TPID << 16 | TCI; 0 = untagged) and its
 * addresses. No second tag. */
struct fastpath_key {
  __u32 ifindex;
  __u32 tag;
  __u8 dst[6];
  __u8 src[6];
};

/* What is done with its frames while `generation` is that of the bridge. */
struct fastpath_decision {
  __u64 generation;
  __u32 in, out;  /* slots of ports */
  __u32 tag;      /* with which the frame leaves; 0 = untagged */
  __u32 copy_set; /* 0 = no copies */
};

/* Two decisions: that of the settings in effect, and one that was prepared for those that come. */
struct fastpath_flow {
  struct fastpath_decision decision[2];
  __u32 bridge; /* slot */
  __u32 id;     /* of its stamp */
};

/* The settings of a bridge; a store switches all its flows at once. */
struct fastpath_bridge {
  __u64 generation; /* 0 = no flow is valid */
};

/* A port, in memory that both sides have mapped. */
struct fastpath_port {
  __u64 settled; /* CLOCK_MONOTONIC: frames that the filter passed to user space before this have been sent */
  __u64 copied;  /* when copies of its frames were queued last */
  __u32 ifindex;
  __u32 mtu;
  __u32 worker;   /* whose copies `copied` is about */
  __u32 draining; /* frames of known flows are dropped until one need not wait */
  __u64 unused[3];
};

/* The copy of a frame that one session makes for one destination. */
struct fastpath_copy {
  __u32 destination; /* slot of its account */
  __u32 port;        /* where it leaves */
  __u32 tag;         /* as in fastpath_flow */
  __u32 duplicate;   /* 1: another session copies the frame there already; it is only counted */
};

struct fastpath_copy_set {
  __u32 copies, sessions; /* how many */
  struct fastpath_copy copy[FASTPATH_COPIES];
  __u32 session[FASTPATH_COPIES]; /* slots of the accounts of sessions that count the frame */
};

/* Accounts. Each processor has its own stripe: index = processor * number of slots + slot. */
struct fastpath_port_account {
  __u64 received_frames, received_bytes; /* taken by the filter */
  __u64 obeyed;                          /* of received_frames: carried out by the tc program */
  __u64 sent_frames, sent_bytes;         /* production and copies, as given to the device */
  __u64 copies_sent;                     /* of sent_frames */
  __u64 too_big, send_error;             /* production frames that should have left here */
};

struct fastpath_destination_account {
  __u64 matched, delivered;
  __u64 packets, bytes; /* delivered; more packets than copies if GSO packets are segmented */
  __u64 duplicate, no_buffers, link_down, too_big;
};

struct fastpath_session_account {
  __u64 frames, bytes;
};

/* Frames of known flows that were dropped while user space caught up, by port. */
struct fastpath_drain_account {
  __u64 frames;
};

#endif
