//! The exception path: a Linux netdev per DPDK device
