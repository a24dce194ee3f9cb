/*
 * The part of DPDK that Rust cannot call directly: static inline functions, and names that differ
 * between the releases from 22.11 on. No policy here.
 */
#ifndef DPVS_RS_DPDK_SHIM_H
#define DPVS_RS_DPDK_SHIM_H

#include <rte_config.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_cycles.h>
#include <rte_version.h>

/* rte_errno is a thread-local variable behind a macro. */
int dpvs_errno(void);

uint16_t dpvs_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t dpvs_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);

struct rte_mbuf *dpvs_mbuf_alloc(struct rte_mempool *pool);
/* Returns 0 if it wrote `count` mbufs; otherwise it wrote none. */
int dpvs_mbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count);
void dpvs_mbuf_free(struct rte_mbuf *mbuf);
void dpvs_mbuf_free_bulk(struct rte_mbuf **mbufs, unsigned int count);

/* The first cache line of an mbuf. Its bytes are DPDK's ABI and the same in every release. The names
 * are not: 24.03 moved most of them into anonymous unions. shim.c checks the offsets. */
struct dpvs_mbuf {
    void *buf_addr;
    uint64_t buf_iova;
    uint16_t data_off;
    uint16_t refcnt;
    uint16_t nb_segs;
    uint16_t port;
    uint64_t ol_flags;
    uint32_t packet_type;
    uint32_t pkt_len;
    uint16_t data_len;
    uint16_t vlan_tci;
    uint32_t mark; /* hash.usr: drivers put the RSS hash here, the engine a number of its own */
    uint32_t hash_rest;
    uint16_t vlan_tci_outer;
    uint16_t buf_len;
    struct rte_mempool *pool;
};

/* What Rust reads of a mempool. DPDK's own struct changes between releases. */
struct dpvs_mempool {
    const char *name;
    uint32_t flags;
    uint32_t element_bytes;
    uint32_t header_bytes;
    uint32_t trailer_bytes;
    uint32_t private_bytes;
    uint32_t size;
    uint32_t used;
    uint64_t memory_bytes;
};
void dpvs_mempool(struct rte_mempool *pool, struct dpvs_mempool *out);

/* Cuts a chained mbuf down to its first segment and frees the others. */
void dpvs_mbuf_cut_chain(struct rte_mbuf *mbuf);

/* State of the link; speed_mbps is 0 if it is unknown. Does not wait for the link. */
struct dpvs_link {
    uint32_t speed_mbps;
    uint8_t up;
    uint8_t full_duplex;
    uint8_t autoneg;
};
int dpvs_link(uint16_t port, struct dpvs_link *link);

/* Replaces 0 by the driver's default, and rounds other numbers to what the driver accepts. */
int dpvs_adjust_descriptors(uint16_t port, uint16_t *rx, uint16_t *tx);

/* What a port is configured with. */
struct dpvs_port_config {
    uint16_t rx_queues;
    uint16_t tx_queues;
    uint16_t mtu;
    uint8_t rss; /* 1: spread packets over the queues by RSS, if the port can */
    uint8_t rss_key_len;
    const uint8_t *rss_key; /* NULL: the driver's own */
};

/* Configures the port, with the receive checksum offloads that it has. */
int dpvs_port_configure(uint16_t port, const struct dpvs_port_config *config);

/* How a started port spreads packets: its hash key, and whether it hashes ports too. */
struct dpvs_port_rss {
    uint8_t *key;
    uint8_t key_len; /* room for the key, in bytes */
    uint8_t tcp4;
    uint8_t udp4;
    uint8_t tcp6;
    uint8_t udp6;
};
int dpvs_port_rss_get(uint16_t port, struct dpvs_port_rss *out);

/* The redirection table: the queue by the low bits of the hash, `len` entries. */
int dpvs_port_rss_table_set(uint16_t port, const uint16_t *queues, uint16_t len);
int dpvs_port_rss_table_get(uint16_t port, uint16_t *queues, uint16_t len);

/* What a port can do. Whether it has an offload is 0 or 1, independent of DPDK's release. */
struct dpvs_port_info {
    const char *driver;
    int socket;
    uint16_t max_rx_queues;
    uint16_t max_tx_queues;
    uint16_t min_mtu;
    uint16_t max_mtu;
    uint16_t reta_size;
    uint8_t hash_key_size;
    uint64_t rss_types;
    uint8_t rx_ip_checksum;
    uint8_t rx_tcp_checksum;
    uint8_t rx_udp_checksum;
    uint8_t tx_ip_checksum;
    uint8_t tx_tcp_checksum;
    uint8_t tx_udp_checksum;
    uint8_t tx_fast_free;
    uint16_t rx_desc_max;
    uint16_t rx_desc_min;
    uint16_t rx_desc_align;
    uint16_t tx_desc_max;
    uint16_t tx_desc_min;
    uint16_t tx_desc_align;
    uint32_t min_rx_bufsize;
    uint32_t max_rx_pktlen;
    uint32_t max_mac_addrs;
    uint64_t rx_offload_capa;
    uint64_t tx_offload_capa;
    uint32_t speed_capa;
};

int dpvs_port_info(uint16_t port, struct dpvs_port_info *info);

/* Checksum states in ol_flags: `mask` selects the bits, `good` and `bad` are their values. `none`
 * is DPDK's name for data that is right under a checksum that is not filled in. */
struct dpvs_checksum_flags {
    uint64_t ip_mask, ip_good, ip_bad;
    uint64_t l4_mask, l4_good, l4_bad, l4_none;
};
struct dpvs_checksum_flags dpvs_checksum_flags(void);

#endif
