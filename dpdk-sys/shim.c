#include "shim.h"

#include <stddef.h>
#include <string.h>

int dpvs_errno(void) { return rte_errno; }

uint16_t dpvs_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
    return rte_eth_rx_burst(port, queue, mbufs, count);
}

uint16_t dpvs_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
    return rte_eth_tx_burst(port, queue, mbufs, count);
}

struct rte_mbuf *dpvs_mbuf_alloc(struct rte_mempool *pool) { return rte_pktmbuf_alloc(pool); }

int dpvs_mbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count)
{
    return rte_pktmbuf_alloc_bulk(pool, mbufs, count);
}

void dpvs_mbuf_free(struct rte_mbuf *mbuf) { rte_pktmbuf_free(mbuf); }

void dpvs_mbuf_free_bulk(struct rte_mbuf **mbufs, unsigned int count)
{
    rte_pktmbuf_free_bulk(mbufs, count);
}

void dpvs_mempool(struct rte_mempool *pool, struct dpvs_mempool *out)
{
    struct rte_mempool_memhdr *chunk;

    out->name = pool->name;
    out->flags = pool->flags;
    out->element_bytes = pool->elt_size;
    out->header_bytes = pool->header_size;
    out->trailer_bytes = pool->trailer_size;
    out->private_bytes = pool->private_data_size;
    out->size = pool->size;
    out->used = rte_mempool_in_use_count(pool);
    out->memory_bytes = 0;
    STAILQ_FOREACH(chunk, &pool->mem_list, next)
        out->memory_bytes += chunk->len;
}

void dpvs_mbuf_cut_chain(struct rte_mbuf *mbuf)
{
    struct rte_mbuf *rest = mbuf->next;

    mbuf->next = NULL;
    mbuf->nb_segs = 1;
    mbuf->pkt_len = mbuf->data_len;
    rte_pktmbuf_free(rest);
}

#define SAME_PLACE(ours, theirs)                                                                   \
    _Static_assert(offsetof(struct dpvs_mbuf, ours) == offsetof(struct rte_mbuf, theirs) &&        \
                       sizeof(((struct dpvs_mbuf *)0)->ours) ==                                    \
                           sizeof(((struct rte_mbuf *)0)->theirs),                                 \
                   "this DPDK release lays mbufs out differently: " #theirs)

SAME_PLACE(buf_addr, buf_addr);
SAME_PLACE(data_off, data_off);
SAME_PLACE(refcnt, refcnt);
SAME_PLACE(nb_segs, nb_segs);
SAME_PLACE(port, port);
SAME_PLACE(ol_flags, ol_flags);
SAME_PLACE(packet_type, packet_type);
SAME_PLACE(pkt_len, pkt_len);
SAME_PLACE(data_len, data_len);
SAME_PLACE(vlan_tci, vlan_tci);
SAME_PLACE(mark, hash.usr);
SAME_PLACE(vlan_tci_outer, vlan_tci_outer);
SAME_PLACE(buf_len, buf_len);
SAME_PLACE(pool, pool);

int dpvs_link(uint16_t port, struct dpvs_link *out)
{
    struct rte_eth_link link;
    int failed = rte_eth_link_get_nowait(port, &link);

    if (failed)
        return failed;
    memset(out, 0, sizeof(*out));
    out->speed_mbps = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
    out->up = link.link_status == RTE_ETH_LINK_UP;
    out->full_duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
    out->autoneg = link.link_autoneg == RTE_ETH_LINK_AUTONEG;
    return 0;
}

int dpvs_adjust_descriptors(uint16_t port, uint16_t *rx, uint16_t *tx)
{
    struct rte_eth_dev_info info;
    int failed = rte_eth_dev_info_get(port, &info);

    if (failed)
        return failed;
    if (*rx == 0)
        *rx = info.default_rxportconf.ring_size ? info.default_rxportconf.ring_size : 1024;
    if (*tx == 0)
        *tx = info.default_txportconf.ring_size ? info.default_txportconf.ring_size : 1024;
    return rte_eth_dev_adjust_nb_rx_tx_desc(port, rx, tx);
}

int dpvs_port_configure(uint16_t port, const struct dpvs_port_config *wanted)
{
    const uint64_t rx_offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM;
    /* Transmit checksum offloads stay off: checksums of forwarded packets are updated in software
     * (RFC 1624), and packets that the director makes itself are too few to matter. */
    const uint64_t tx_offloads = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    struct rte_eth_dev_info info;
    struct rte_eth_conf config;
    int failed = rte_eth_dev_info_get(port, &info);

    if (failed)
        return failed;
    memset(&config, 0, sizeof(config));
    config.rxmode.mtu = wanted->mtu;
    config.rxmode.offloads = rx_offloads & info.rx_offload_capa;
    config.txmode.offloads = tx_offloads & info.tx_offload_capa;
    if (wanted->rss && info.flow_type_rss_offloads) {
        config.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        config.rx_adv_conf.rss_conf.rss_hf =
            (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP) & info.flow_type_rss_offloads;
        /* Not const in DPDK, but only read. */
        config.rx_adv_conf.rss_conf.rss_key = (uint8_t *)(uintptr_t)wanted->rss_key;
        config.rx_adv_conf.rss_conf.rss_key_len = wanted->rss_key_len;
    }
    return rte_eth_dev_configure(port, wanted->rx_queues, wanted->tx_queues, &config);
}

int dpvs_port_rss_table_set(uint16_t port, const uint16_t *queues, uint16_t len)
{
    struct rte_eth_rss_reta_entry64 groups[RTE_ETH_RSS_RETA_SIZE_512 * 4 / RTE_ETH_RETA_GROUP_SIZE];
    uint16_t at;

    if (len > RTE_ETH_RSS_RETA_SIZE_512 * 4)
        return -EINVAL;
    memset(groups, 0, sizeof(groups));
    for (at = 0; at < len; at++) {
        struct rte_eth_rss_reta_entry64 *group = &groups[at / RTE_ETH_RETA_GROUP_SIZE];
        group->mask |= UINT64_C(1) << (at % RTE_ETH_RETA_GROUP_SIZE);
        group->reta[at % RTE_ETH_RETA_GROUP_SIZE] = queues[at];
    }
    return rte_eth_dev_rss_reta_update(port, groups, len);
}

int dpvs_port_rss_table_get(uint16_t port, uint16_t *queues, uint16_t len)
{
    struct rte_eth_rss_reta_entry64 groups[RTE_ETH_RSS_RETA_SIZE_512 * 4 / RTE_ETH_RETA_GROUP_SIZE];
    uint16_t at;
    int failed;

    if (len > RTE_ETH_RSS_RETA_SIZE_512 * 4)
        return -EINVAL;
    memset(groups, 0, sizeof(groups));
    for (at = 0; at < len; at++)
        groups[at / RTE_ETH_RETA_GROUP_SIZE].mask |=
            UINT64_C(1) << (at % RTE_ETH_RETA_GROUP_SIZE);
    failed = rte_eth_dev_rss_reta_query(port, groups, len);
    for (at = 0; !failed && at < len; at++)
        queues[at] = groups[at / RTE_ETH_RETA_GROUP_SIZE].reta[at % RTE_ETH_RETA_GROUP_SIZE];
    return failed;
}

int dpvs_port_rss_get(uint16_t port, struct dpvs_port_rss *out)
{
    struct rte_eth_rss_conf conf;
    int failed;

    memset(&conf, 0, sizeof(conf));
    conf.rss_key = out->key;
    conf.rss_key_len = out->key_len;
    failed = rte_eth_dev_rss_hash_conf_get(port, &conf);
    if (failed)
        return failed;
    out->tcp4 = (conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV4_TCP) != 0;
    out->udp4 = (conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV4_UDP) != 0;
    out->tcp6 = (conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV6_TCP) != 0;
    out->udp6 = (conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV6_UDP) != 0;
    return 0;
}

#define HAS(capa, bit) (((capa) & (bit)) != 0)

int dpvs_port_info(uint16_t port, struct dpvs_port_info *out)
{
    struct rte_eth_dev_info info;
    int failed = rte_eth_dev_info_get(port, &info);

    if (failed)
        return failed;
    memset(out, 0, sizeof(*out));
    out->driver = info.driver_name;
    out->socket = rte_eth_dev_socket_id(port);
    out->max_rx_queues = info.max_rx_queues;
    out->max_tx_queues = info.max_tx_queues;
    out->min_mtu = info.min_mtu;
    out->max_mtu = info.max_mtu;
    out->reta_size = info.reta_size;
    out->hash_key_size = info.hash_key_size;
    out->rss_types = info.flow_type_rss_offloads;
    out->rx_ip_checksum = HAS(info.rx_offload_capa, RTE_ETH_RX_OFFLOAD_IPV4_CKSUM);
    out->rx_tcp_checksum = HAS(info.rx_offload_capa, RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
    out->rx_udp_checksum = HAS(info.rx_offload_capa, RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
    out->tx_ip_checksum = HAS(info.tx_offload_capa, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
    out->tx_tcp_checksum = HAS(info.tx_offload_capa, RTE_ETH_TX_OFFLOAD_TCP_CKSUM);
    out->tx_udp_checksum = HAS(info.tx_offload_capa, RTE_ETH_TX_OFFLOAD_UDP_CKSUM);
    out->tx_fast_free = HAS(info.tx_offload_capa, RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE);
    out->rx_desc_max = info.rx_desc_lim.nb_max;
    out->rx_desc_min = info.rx_desc_lim.nb_min;
    out->rx_desc_align = info.rx_desc_lim.nb_align;
    out->tx_desc_max = info.tx_desc_lim.nb_max;
    out->tx_desc_min = info.tx_desc_lim.nb_min;
    out->tx_desc_align = info.tx_desc_lim.nb_align;
    out->min_rx_bufsize = info.min_rx_bufsize;
    out->max_rx_pktlen = info.max_rx_pktlen;
    out->max_mac_addrs = info.max_mac_addrs;
    out->rx_offload_capa = info.rx_offload_capa;
    out->tx_offload_capa = info.tx_offload_capa;
    out->speed_capa = info.speed_capa;
    return 0;
}

struct dpvs_checksum_flags dpvs_checksum_flags(void)
{
    struct dpvs_checksum_flags flags = {
        .ip_mask = RTE_MBUF_F_RX_IP_CKSUM_MASK,
        .ip_good = RTE_MBUF_F_RX_IP_CKSUM_GOOD,
        .ip_bad = RTE_MBUF_F_RX_IP_CKSUM_BAD,
        .l4_mask = RTE_MBUF_F_RX_L4_CKSUM_MASK,
        .l4_good = RTE_MBUF_F_RX_L4_CKSUM_GOOD,
        .l4_bad = RTE_MBUF_F_RX_L4_CKSUM_BAD,
        .l4_none = RTE_MBUF_F_RX_L4_CKSUM_NONE,
    };

    return flags;
}
