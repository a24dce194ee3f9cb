//! What Rust code may hold of DPDK: mbufs, mempools, ports, queues
